//! One process owns the folder: an OS lock, released by the system however the process ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::error::OpenError;
use super::private;

/// Held as long as the folder is open.
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder if it is missing, and takes it.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let failed = |source: io::Error| OpenError::NotWritable { dir: dir.to_owned(), source };
        private::create_dir(dir).map_err(failed)?;
        let mut file = private::open(&dir.join("lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { dir: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The process id is for the reader of an error text: a full disk must not keep a store from opening.
        let _ = write_pid(&mut file);
        Ok(Self { _file: file })
    }
}

/// Whether a process has the folder open now. Creates nothing.
pub(super) fn is_taken(dir: &Path) -> bool {
    let file = File::open(dir.join("lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.rewind()?;
    let text = format!("{}\n", std::process::id());
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
