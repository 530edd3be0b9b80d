//! Files that are nobody's business but the user's: on Unix, folders get mode 0700 and files 0600.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates the folder, and those above it that are missing. The mode of one that is there is left alone.
pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens the file to read and write; creates it if it is missing, and closes it to others if it is open to them.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    tighten(path, &file);
    Ok(file)
}

/// Takes from others what they may do with the file. Some file systems have no modes: then it stays as it is.
#[cfg(unix)]
fn tighten(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt as _;

    let tightened = file.metadata().and_then(|metadata| {
        let mut permissions = metadata.permissions();
        if permissions.mode() & 0o077 == 0 {
            return Ok(());
        }
        permissions.set_mode(permissions.mode() & 0o700);
        file.set_permissions(permissions)
    });
    if let Err(error) = tightened {
        tracing::warn!(file = %path.display(), %error, "others may read this file");
    }
}
