//! The test app as a process, for the tests of the command line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

pub(crate) fn app(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verbs-app"));
    command.args(args).env("MILLRACE_DATA", data).env_remove("MILLRACE_LOG");
    command
}

/// Exit code, standard output, standard error.
pub(crate) fn run(data: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = app(data, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
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
