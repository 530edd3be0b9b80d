//! The folder that the work is done in: `batch/{batch}/`, `draft/{batch}.json`, `notice/{batch}.txt`, `index.json`.
//!
//! Every file is named by what it is for and written as a whole, so doing a step again changes nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chunk::{self, Chunk};
use crate::extract::extract;
use crate::index::Index;

pub struct Workspace {
    root: PathBuf,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Workspace {
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        for folder in ["batch", "draft", "notice"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root })
    }

    /// Keeps the chunks of a document, and says how many there are.
    pub fn keep(&self, batch: &str, document: &str, chunks: &[Chunk]) -> Result<usize, Error> {
        fs::create_dir_all(self.root.join("batch").join(batch))?;
        write(&self.chunks(batch, document), &chunks)?;
        Ok(chunks.len())
    }

    /// Makes the index of a batch's documents, as a draft.
    pub fn draft(&self, batch: &str, documents: &[String]) -> Result<Index, Error> {
        let mut chunks: Vec<Chunk> = Vec::new();
        for document in documents {
            chunks.extend(read::<Vec<Chunk>>(&self.chunks(batch, document))?);
        }
        let index = Index::of(chunks);
        write(&self.draft_path(batch), &index)?;
        Ok(index)
    }

    /// Makes the draft the index that counts.
    pub fn publish(&self, batch: &str) -> Result<(), Error> {
        Ok(write(&self.root.join("index.json"), &read::<Index>(&self.draft_path(batch))?)?)
    }

    /// Takes away what is left of a batch.
    pub fn discard(&self, batch: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.draft_path(batch)))?;
        absent_is_fine(fs::remove_dir_all(self.root.join("batch").join(batch)))
    }

    /// Leaves a note for the people.
    pub fn notify(&self, batch: &str, text: &str) -> io::Result<()> {
        fs::write(self.root.join("notice").join(format!("{batch}.txt")), text)
    }

    /// The index that counts, if there is one.
    pub fn index(&self) -> Result<Index, Error> {
        read(&self.root.join("index.json"))
    }

    fn chunks(&self, batch: &str, document: &str) -> PathBuf {
        self.root.join("batch").join(batch).join(format!("{document}.json"))
    }

    fn draft_path(&self, batch: &str) -> PathBuf {
        self.root.join("draft").join(format!("{batch}.json"))
    }
}

/// The files of a folder, in the order of their names.
pub fn documents(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let files = entries.into_iter().filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The chunks of one document.
pub fn chunks_of(folder: &Path, name: &str) -> Result<Vec<Chunk>, Error> {
    let text = extract(name, fs::read(folder.join(name))?)?;
    Ok(chunk::cut(name, &text))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// All of it or nothing, also when the process is killed in between.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), io::Error> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, serde_json::to_vec(value)?)?;
    fs::rename(unfinished, path)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
