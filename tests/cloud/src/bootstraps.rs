//! The zips of a stack's functions: host-native builds, each as `bootstrap`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::Foreign;
use crate::emulator::root;

/// Whose functions a stack runs. The timer tick and the dead letters are the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Functions {
    /// The main example's.
    Example,
    /// The ones of [`crate::app`], which can be told to go wrong.
    TestApp,
}

impl Functions {
    /// The binary behind each zip of the template.
    fn binaries(self) -> [(&'static str, PathBuf); 4] {
        let (orchestrator, cpu_worker) = match self {
            Self::Example => (function("orchestrator"), function("cpu-worker")),
            Self::TestApp => (test_binary("test-orchestrator"), test_binary("test-cpu-worker")),
        };
        [
            ("orchestrator", orchestrator),
            ("cpu-worker", cpu_worker),
            ("timer-tick", function("timer-tick")),
            ("dead-letters", function("dead-letters")),
        ]
    }

    /// The folder with the zips, which are made again when a binary is newer.
    pub(crate) fn zips(self, foreign: &Foreign) -> PathBuf {
        // Stacks of one test binary are deployed side by side; one of them makes the zips. Another test binary may do so
        // too: the same ones, and each appears whole.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = profile().join("function-zips").join(format!("{self:?}"));
        std::fs::create_dir_all(&folder).expect("a folder for the zips");
        for (name, binary) in self.binaries() {
            let package = folder.join(format!("{name}.zip"));
            if modified(&package) <= modified(&binary) {
                let work = tempfile::tempdir_in(&folder).expect("a folder to work in");
                let (stripped, whole) = (work.path().join("bootstrap"), work.path().join("whole.zip"));
                strip(&binary, &stripped);
                foreign.zip(&stripped, &whole);
                std::fs::rename(whole, package).expect("the zip appears");
            }
        }
        folder
    }
}

/// `None`, which is before everything, if there is no such file.
fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// A binary of `millrace-functions`, built at the first need.
pub fn function(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| build("millrace-functions"));
    profile().join(name)
}

/// A binary of this package; Cargo has built it before the test.
pub fn test_binary(name: &str) -> PathBuf {
    let path = profile().join(name);
    assert!(path.is_file(), "{} is missing: run the tests by `cargo test`", path.display());
    path
}

/// Where Cargo puts binaries: this test's own is in `deps` below it.
fn profile() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    own.parent().and_then(Path::parent).expect("in target/<profile>/deps").to_owned()
}

fn build(package: &str) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "--bins", "--package", package]).stdin(Stdio::null());
    // What Cargo tells a test of its package: some build scripts look at it, and would run again, each time.
    let of_this_test = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
        "CARGO_TARGET_TMPDIR",
    ];
    for (name, _) in std::env::vars().filter(|(name, _)| of_this_test.iter().any(|own| name.starts_with(own)))
    {
        cargo.env_remove(name);
    }
    if profile().ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A debug build is ten times its code; Lambda takes 250 MB. Without the tool it is taken as it is.
fn strip(binary: &Path, to: &Path) {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(binary).stdin(Stdio::null()).status();
    if !stripped.is_ok_and(|status| status.success()) {
        std::fs::copy(binary, to).expect("a copy of the binary");
    }
}
