//! Workers that are not functions, and the sudden end of both kinds.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::{Stack, eventually};

/// A process of a deployment; ended when it is dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a worker of the task queue `gpu`; what it says goes to a file.
    pub fn gpu_worker(stack: &Stack, binary: &Path, slots: usize, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let mut command = bare(binary);
        command.envs(stack.environment()).env("MILLRACE_TASK_QUEUE", "gpu");
        command.env("MILLRACE_SLOTS", slots.to_string()).env("MILLRACE_GRACE_S", "5");
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        Self { child: command.spawn().expect("the worker starts") }
    }

    /// Ends it as a machine does that is gone: no signal that it could see.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }

    /// It stands still, and knows nothing of it.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    /// It goes on.
    pub fn thaw(&self) {
        signal(self.child.id(), "CONT");
    }

    /// Asks it to end (SIGTERM) and waits until it has; `true` if it says that all is well.
    pub fn stop(mut self) -> bool {
        signal(self.child.id(), "TERM");
        let ended = || self.child.try_wait().expect("it was ours");
        eventually(180, "a worker to stop", ended).success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that inherits nothing but what finds libraries and temporary files.
pub fn bare(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a command to its end; killed, and the test failed, if it does not end.
pub fn ends(command: &mut Command, seconds: u64) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let deadline = crate::Deadline::in_secs(seconds);
    while child.try_wait().expect("it was ours").is_none() {
        if deadline.has_passed() {
            let _ = child.kill();
            let output = child.wait_with_output().expect("it was ours");
            panic!("it did not end within {seconds} s and said: {}", String::from_utf8_lossy(&output.stdout));
        }
        deadline.pause(String::new);
    }
    child.wait_with_output().expect("it was ours")
}

/// The functions of a stack that run now: processes named `bootstrap` below the emulator that this binary has started.
/// Linux only; elsewhere there are none to be seen.
pub fn functions(stack: &Stack) -> Vec<u32> {
    let Some(root) = stack.emulator.pid() else { return Vec::new() };
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut below = vec![root];
    let mut next = 0;
    while let Some(pid) = below.get(next).copied() {
        below.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    let own = format!("MILLRACE_QUEUE_PREFIX={}", stack.name);
    let is_function = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("bootstrap"))
            && environment.split(|byte| *byte == 0).any(|variable| variable == own.as_bytes())
    };
    below.into_iter().filter(is_function).collect()
}

/// The fourth field of `stat`; the second, a name in parentheses, may hold spaces.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Kills a function in the middle of whatever it does.
pub fn kill_function(pid: u32) {
    signal(pid, "KILL");
}

fn signal(pid: u32, name: &str) {
    // It may have ended by itself just now.
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}
