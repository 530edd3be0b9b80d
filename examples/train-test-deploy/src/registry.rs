//! The registry: a folder of model artifacts and a pointer to the one in use.
//!
//! ```text
//! <root>/models/<sha256>.json   an artifact, named by its content, never changed
//! <root>/current                the sha256 of the deployed artifact, and a newline
//! ```
//!
//! What holds after any crash: `current` is absent or names one whole artifact that is there. For this an
//! artifact is on disk before the pointer moves, and both appear by rename. Deploying the same artifact again
//! has no further effect, which is what an activity that may run twice needs. A crash can leave a hidden
//! `.deploying-…` file behind; nobody reads it.
//!
//! The pointer is a text file, not a symbolic link: it outlives copying, archives and object stores, needs no
//! special right on Windows, can be put on disk with `fsync` before it is shown, and its reader gets a name
//! that cannot change under him.
//!
//! Not done here: an order among deployments of different models (the last rename wins; the workflow sees to
//! it), and clean-up.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::Builder;

const SHA256_HEX_LENGTH: usize = 64;

/// A folder of artifacts. Any number of processes may open the same one.
#[derive(Debug, Clone)]
pub struct Registry {
    root: PathBuf,
}

/// The SHA-256 of an artifact's bytes, in 64 lowercase hexadecimal digits: a safe file name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactId(String);

/// A text that is not the name of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 of {SHA256_HEX_LENGTH} lowercase hexadecimal digits")]
pub struct NotAnArtifactId(String);

/// Why the registry could not do it. Every message names the path.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum RegistryError {
    /// Worth another attempt: a full disk, a missing right, a folder not mounted.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The pointer was written by something else; deploying again repairs it.
    #[error("the pointer {} names no artifact", path.display())]
    Pointer { path: PathBuf, source: NotAnArtifactId },
    /// The bytes changed after they were written; deploying the artifact again repairs it.
    #[error("the artifact {} is damaged: its SHA-256 is {found}", path.display())]
    Damaged { path: PathBuf, found: ArtifactId },
}

impl ArtifactId {
    /// The name these bytes have in every registry.
    pub fn of(artifact: &[u8]) -> Self {
        Self(Sha256::digest(artifact).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl TryFrom<String> for ArtifactId {
    type Error = NotAnArtifactId;

    fn try_from(text: String) -> Result<Self, NotAnArtifactId> {
        let hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex && text.len() == SHA256_HEX_LENGTH { Ok(Self(text)) } else { Err(NotAnArtifactId(text)) }
    }
}

impl From<ArtifactId> for String {
    fn from(id: ArtifactId) -> Self {
        id.0
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Registry {
    /// Opens the registry in this folder and makes it if need be. That a folder *above* the parent survives a
    /// power cut is up to whoever made it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let registry = Self { root: root.into() };
        let models = registry.models();
        if !models.is_dir() {
            fs::create_dir_all(&models).map_err(failed("create", &models))?;
            sync_folder(&registry.root)?;
            sync_folder(parent(&registry.root))?;
        }
        Ok(registry)
    }

    /// Stores the artifact and makes it the current one. When this returns `Ok`, both are on disk.
    pub fn deploy(&self, artifact: &[u8]) -> Result<ArtifactId, RegistryError> {
        let id = ArtifactId::of(artifact);
        put(&self.models(), &self.artifact_path(&id), artifact)?;
        put(&self.root, &self.pointer(), format!("{id}\n").as_bytes())?;
        Ok(id)
    }

    /// The deployed artifact's name; `None` before the first deployment.
    pub fn current(&self) -> Result<Option<ArtifactId>, RegistryError> {
        let path = self.pointer();
        let Some(content) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&content).trim_end().to_owned();
        ArtifactId::try_from(text).map(Some).map_err(|source| RegistryError::Pointer { path, source })
    }

    /// The bytes of an artifact, checked against its name.
    pub fn artifact(&self, id: &ArtifactId) -> Result<Vec<u8>, RegistryError> {
        let path = self.artifact_path(id);
        let artifact = fs::read(&path).map_err(failed("read", &path))?;
        let found = ArtifactId::of(&artifact);
        if found == *id { Ok(artifact) } else { Err(RegistryError::Damaged { path, found }) }
    }

    /// Where the artifact lies, for people.
    pub fn artifact_path(&self, id: &ArtifactId) -> PathBuf {
        self.models().join(format!("{id}.json"))
    }

    fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    fn pointer(&self) -> PathBuf {
        self.root.join("current")
    }
}

/// Makes `path` hold `content`, all of it or as it was before. Writes nothing if it does already, but syncs
/// the folder all the same: an earlier attempt may have died between its rename and its sync, and then its
/// success is not on disk yet.
fn put(folder: &Path, path: &Path, content: &[u8]) -> Result<(), RegistryError> {
    if read(path)?.as_deref() != Some(content) {
        replace(folder, path, content)?;
    }
    sync_folder(folder)
}

/// The temporary name is random, because two attempts of one activity can overlap and must not write into one
/// file, and because in a container a process id comes back after a crash and meets its own debris.
fn replace(folder: &Path, path: &Path, content: &[u8]) -> Result<(), RegistryError> {
    let mut builder = Builder::new();
    builder.prefix(".deploying-");
    #[cfg(unix)]
    // a temporary file is private by default; a model is read by others, as far as the umask lets them
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(failed("create a file in", folder))?;
    file.write_all(content).map_err(failed("write", file.path()))?;
    file.as_file().sync_all().map_err(failed("sync", file.path()))?;
    file.persist(path).map_err(|error| failed("replace", path)(error.error))?;
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// A rename is on disk when its folder is. Windows has no such call and needs none.
fn sync_folder(folder: &Path) -> Result<(), RegistryError> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;
    }
    Ok(())
}

/// The parent of `registry` is the working folder, which has no name to open in an empty path.
fn parent(folder: &Path) -> &Path {
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
