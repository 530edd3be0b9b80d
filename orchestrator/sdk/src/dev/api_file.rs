//! `api.json`: where the engine of a data folder listens, and the token that opens it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DevError, system};

const NAME: &str = "api.json";

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) pid: u32,
}

/// The file while its engine is at work; dropping it removes it. After a crash it stays, and nobody answers there.
pub(crate) struct ApiFile(PathBuf);

impl ApiFile {
    /// Writes it, readable by this user only. It appears whole, by a rename.
    pub(crate) fn write(data: &Path, address: SocketAddr, token: &str) -> Result<Self, DevError> {
        let api = Api { url: format!("http://{address}"), token: token.to_owned(), pid: std::process::id() };
        let (path, temporary) = (data.join(NAME), data.join(format!(".{NAME}.new")));
        let written = || -> std::io::Result<()> {
            let _ = fs::remove_file(&temporary);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&temporary)?;
            file.write_all(&serde_json::to_vec(&api)?)?;
            fs::rename(&temporary, &path)
        };
        written().map_err(system(format!("`{}` cannot be written", path.display())))?;
        Ok(Self(path))
    }

    /// Reads it; `None` if there is none that can be read.
    pub(crate) fn read(data: &Path) -> Option<Api> {
        serde_json::from_slice(&fs::read(data.join(NAME)).ok()?).ok()
    }
}

impl Drop for ApiFile {
    fn drop(&mut self) {
        // A file that stays behind misleads nobody: its token opens nothing.
        let _ = fs::remove_file(&self.0);
    }
}
