//! The emulator of a test binary.
//!
//! `MILLRACE_TEST_ENDPOINT` names one that runs. Else `localstack/start.sh` starts one at the first need; it ends with the
//! test binary, however that ends, because its standard input closes then.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const SKIPPED: &str = "skipped: no AWS emulator; localstack/start.sh says what it needs";

/// `localstack/start.sh` ends so when Python or a package cannot be had; a shell, when there is no such program.
const MISSING: i32 = 3;

static EMULATOR: OnceLock<Option<Emulator>> = OnceLock::new();

/// An emulator that is ready.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    /// `None` for one that somebody else has started.
    process: Option<Child>,
}

impl Emulator {
    /// The one of this test binary. Without one, the test prints a line and is to return; in CI
    /// (`MILLRACE_REQUIRE_EMULATOR=1`) it fails.
    pub fn get() -> Option<&'static Self> {
        let emulator = EMULATOR.get_or_init(|| given().or_else(start)).as_ref();
        if emulator.is_none() {
            assert_ne!(std::env::var("MILLRACE_REQUIRE_EMULATOR").as_deref(), Ok("1"), "{SKIPPED}");
            // Past the test harness, which shows what a passed test prints to nobody.
            let _ = writeln!(std::io::stderr(), "{SKIPPED}");
        }
        emulator
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The Python that has boto3.
    pub fn python(&self) -> PathBuf {
        let own = root().join("target/localstack/venv-ministack/bin/python");
        if own.is_file() { own } else { "python3".into() }
    }

    /// The process that was started; functions run below it.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// What a process of ours needs to find the emulator and nothing else.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("NO_PROXY", "127.0.0.1".into()),
        ]
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap())
}

fn given() -> Option<Emulator> {
    let endpoint = std::env::var("MILLRACE_TEST_ENDPOINT").ok().filter(|url| !url.is_empty())?;
    Some(Emulator { endpoint, process: None })
}

fn start() -> Option<Emulator> {
    let mut command = Command::new(root().join("localstack/start.sh"));
    command.arg("ministack").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().ok()?;
    let mut lines = BufReader::new(process.stdout.take()?).lines();
    while let Some(Ok(line)) = lines.next() {
        if let Some(url) = line.strip_prefix("ready ") {
            let endpoint = url.trim().to_owned();
            // What it goes on to say is read, so that it is never held up by a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(Emulator { endpoint, process: Some(process) });
        }
    }
    let status = process.wait().ok()?;
    // Only what is missing is a reason to skip.
    assert!(matches!(status.code(), Some(MISSING | 126 | 127)), "localstack/start.sh: {status}");
    None
}
