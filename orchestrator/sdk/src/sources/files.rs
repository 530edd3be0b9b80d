//! Folders and files of this machine.

use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use millrace_core::ApplicationFailure;

use super::place::invalid;
use super::split::{Cursor, Window, changed};
use crate::{ActivityError, Page};

/// What is wrong, with the place. What is not there does not come by trying again; a machine out of files may recover.
fn failed(url: &str, path: &Path, error: &io::Error) -> ActivityError {
    let path = path.display();
    let text = format!("`{url}`: `{path}`: {error}");
    match error.kind() {
        ErrorKind::NotFound => {
            invalid(format!("{text}: a path must lead to the same place on every worker of the task queue"))
                .into()
        }
        ErrorKind::PermissionDenied => invalid(format!("{text}: allow the worker to read it")).into(),
        _ => ApplicationFailure::new("Unreadable", text).into(),
    }
}

/// The files in a folder, however deep, that follow the cursor.
pub(super) fn keys(
    url: &str,
    folder: &Path,
    cursor: Option<&str>,
    most: usize,
) -> Result<Page<String>, ActivityError> {
    let meta = fs::metadata(folder).map_err(|error| failed(url, folder, &error))?;
    if !meta.is_dir() {
        let text = format!("`{url}` is a file: name its folder, or map over its `lines`");
        return Err(invalid(text).into());
    }
    // The least ones of what is left, and one that tells whether there are more.
    let mut least = BinaryHeap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let entries = fs::read_dir(&inner).map_err(|error| failed(url, &inner, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(url, &inner, &error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| failed(url, &path, &error))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
                let path = text(url, path)?;
                if cursor.is_none_or(|cursor| path.as_str() > cursor) {
                    least.push(path);
                    if least.len() > most.saturating_add(1) {
                        least.pop();
                    }
                }
            }
        }
    }
    let mut items = least.into_sorted_vec();
    let is_more = items.len() > most;
    items.truncate(most);
    Ok(Page { next: items.last().filter(|_| is_more).cloned(), items })
}

fn text(url: &str, path: PathBuf) -> Result<String, ActivityError> {
    path.into_os_string().into_string().map_err(|name| {
        let name = name.to_string_lossy();
        invalid(format!("`{url}`: the name `{name}` is not UTF-8: rename the file")).into()
    })
}

/// The bytes of a file from the cursor on.
pub(super) fn window(
    url: &str,
    path: &Path,
    from: Option<&Cursor>,
    length: u64,
) -> Result<Option<Window>, ActivityError> {
    let failed = |error: io::Error| failed(url, path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(invalid(format!("`{url}` is a folder: name a file, or map over its `keys`")).into());
    }
    let written = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let version = format!("{}-{}", meta.len(), written.unwrap_or_default().as_nanos());
    let from = match from {
        Some(from) if from.version != version => return Err(changed(url).into()),
        Some(from) => from.clone(),
        None => Cursor { offset: 0, version },
    };
    if meta.len() == 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from.offset)).map_err(failed)?;
    file.take(length).read_to_end(&mut bytes).map_err(failed)?;
    let is_last = from.offset + bytes.len() as u64 >= meta.len();
    Ok(Some(Window { bytes, from, is_last }))
}
