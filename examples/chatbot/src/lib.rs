//! A conversation as a workflow: questions in, answers out, and it ends when nobody asks any more.
//!
//! The answers are looked up: the paragraph of the handbook that shares the rarest words with the question. Put a language
//! model in [`find_answer`]'s place, and nothing else changes.

mod session;

use std::path::{Path, PathBuf};

use document_processing::index::Index;
use document_processing::workspace::{chunks_of, documents};
use millrace::App;
pub use session::{Ask, Exchange, Transcript, find_answer, keep, session};

/// Where transcripts are kept.
pub struct Archive(pub PathBuf);

/// The index of all documents of a folder.
pub fn read_handbook(folder: &Path) -> Result<Index, Box<dyn std::error::Error + Send + Sync>> {
    let mut chunks = Vec::new();
    for name in documents(folder)? {
        chunks.extend(chunks_of(folder, &name)?);
    }
    Ok(Index::of(chunks))
}

/// Everything that the program can run.
pub fn app(handbook: Index, archive: Archive) -> App {
    App::new().share(handbook).share(archive).workflow(session).activity(find_answer).activity(keep)
}
