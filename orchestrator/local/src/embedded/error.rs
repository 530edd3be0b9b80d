//! Why a folder cannot be opened.

use std::io;
use std::path::PathBuf;

/// A folder that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("`{}` is in use by {}; stop it, or talk to it", dir.display(), process(.pid))]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The other process, if it is known.
        pid: Option<u32>,
    },
    /// The folder cannot be written.
    #[error("`{}` cannot be written: {source}", dir.display())]
    NotWritable {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What lies there is damaged, or is no store of Millrace.
    #[error("`{}` is damaged: {reason}; restore it from a copy, or move it away to begin anew", dir.display())]
    Corrupt {
        /// The folder.
        dir: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A newer Millrace has written it.
    #[error("`{}` was written by a newer Millrace (format {found}, this one knows {known})", dir.display())]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this build reads.
        known: u32,
    },
    /// The storage did not work: no room, an input/output error.
    #[error("`{}` could not be opened: {reason}", dir.display())]
    Storage {
        /// The folder.
        dir: PathBuf,
        /// What the storage said.
        reason: String,
    },
}

fn process(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
