//! The test app as a process, for the tests of the command line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// When to give up: a slow machine is no failure, but a test that never ends is one.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn app(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verbs-app"));
    command.args(args).env("MILLRACE_DATA", data).env_remove("MILLRACE_LOG");
    command
}

/// Exit code, standard output, standard error. Killed, and the test failed, if it does not end.
pub(crate) fn run(data: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = app(data, args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let (pid, (ended, has_ended)) = (child.id().to_string(), channel::<()>());
    let watch = thread::spawn(move || {
        let is_late = has_ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        is_late && Command::new("kill").args(["-KILL", &pid]).status().unwrap().success()
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    drop(ended);
    assert!(!watch.join().unwrap(), "{args:?} did not end within {PATIENCE:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Looks until there is something to see.
#[allow(dead_code, clippy::disallowed_methods, reason = "not every test waits; those that do, in real time")]
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not seen within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// An engine in a process of its own; killed when the test ends.
pub(crate) struct Engine(pub(crate) Child);

impl Engine {
    pub(crate) fn start(data: &Path) -> Self {
        let mut child = app(data, &["dev"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening    http://127.0.0.1:"), "{line}");
        Self(child)
    }

    /// Asks it to stop, and returns its exit code.
    pub(crate) fn terminate(mut self) -> i32 {
        let kill = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
