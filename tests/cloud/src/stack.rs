//! A stack of a test's own: the project's template, deployed by the project's script.

use std::process::{Command, Stdio};

use millrace_core::Namespace;
use millrace_engine::ports::Entropy as _;
use millrace_local::OsEntropy;
use serde_json::{Value, json};

use crate::bootstraps::Functions;
use crate::emulator::root;
use crate::foreign::{Depth, Received};
use crate::{Emulator, Foreign, History, eventually};

/// The queues that must be empty when nothing is left to do.
const AT_WORK: [&str; 4] = ["inbox", "events", "task-cpu", "task-gpu"];
/// The queues whose messages somebody has to look at.
const DEAD: [&str; 4] = ["inbox-dead", "events-dead", "task-cpu-dead", "task-gpu-dead"];

/// A deployed stack, seen with a foreign client.
pub struct Stack {
    /// Where it is.
    pub emulator: &'static Emulator,
    /// The client.
    pub foreign: Foreign,
    /// The stack's name, which its queues and functions begin with.
    pub name: String,
    /// Its bucket.
    pub bucket: String,
}

/// A name that nobody else uses.
pub fn unique(what: &str) -> String {
    format!("{what}-{:08x}", OsEntropy.bits() as u32)
}

impl Stack {
    /// Deploys the template. `None` without an emulator: the test is to return.
    ///
    /// Two concurrent orchestrators for each queue and three workers, unless the parameters say otherwise: all of them are
    /// processes of this machine.
    pub fn deploy(functions: Functions, parameters: &[(&str, &str)]) -> Option<Self> {
        let emulator = Emulator::get()?;
        let (name, foreign) = (unique("t"), Foreign::start(emulator));
        let code = functions.zips(&foreign);
        let mut deploy = deploy_script(emulator, &name);
        deploy.arg("--code").arg(code);
        let few = [("OrchestratorConcurrency", "2"), ("CpuWorkerConcurrency", "3")];
        let is_given = |name: &str| parameters.iter().any(|(given, _)| *given == name);
        for (key, value) in few.iter().filter(|(name, _)| !is_given(name)).chain(parameters) {
            deploy.arg("--parameter").arg(format!("{key}={value}"));
        }
        let output = deploy.output().expect("localstack/deploy.py runs");
        assert!(output.status.success(), "deploy.py: {}", String::from_utf8_lossy(&output.stderr));
        let outputs: Value = serde_json::from_slice(&output.stdout).expect("deploy.py prints the outputs");
        assert_eq!(outputs["QueuePrefix"], name.as_str(), "the prefix is the stack's name by default");
        let bucket = outputs["BucketName"].as_str().expect("the stack has a bucket").to_owned();
        Some(Self { emulator, foreign, name, bucket })
    }

    /// What a queue is called in SQS.
    pub fn queue(&self, queue: &str) -> String {
        format!("{}-{queue}", self.name)
    }

    /// What a function is called.
    pub fn function(&self, function: &str) -> String {
        format!("{}-{function}", self.name)
    }

    /// What a process of this deployment is told.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.emulator.environment();
        environment.push(("MILLRACE_BUCKET", self.bucket.clone()));
        environment.push(("MILLRACE_QUEUE_PREFIX", self.name.clone()));
        environment.push(("MILLRACE_NAMESPACE", Namespace::default().to_string()));
        environment
    }

    /// Sends a message to the inbox.
    pub fn send(&self, message: &Value) {
        self.foreign.send(&self.queue("inbox"), &message.to_string());
    }

    /// Starts a run.
    pub fn start(&self, workflow: &str, id: &str, input: &Value) {
        self.send(&json!({ "type": "start", "workflow": workflow, "id": id, "input": input }));
    }

    /// Signals a run.
    pub fn signal(&self, id: &str, name: &str, input: &Value) {
        self.send(&json!({ "type": "signal", "id": id, "name": name, "input": input }));
    }

    /// The history of a workflow's current run, if there is one.
    pub fn history(&self, id: &str) -> Option<History> {
        History::read(&self.foreign, &self.bucket, &Namespace::default().to_string(), id)
    }

    /// Waits until a run is closed.
    pub fn closed(&self, id: &str, seconds: u64) -> History {
        let deadline = crate::Deadline::in_secs(seconds);
        loop {
            let history = self.history(id);
            if let Some(history) = history.as_ref().filter(|history| history.status() != "running") {
                return history.clone();
            }
            deadline.pause(|| {
                let depths = AT_WORK.map(|queue| (queue, self.foreign.depth(&self.queue(queue))));
                let history = history.map(|history| history.outline());
                format!("`{id}` is not closed; queues: {depths:?}; history:\n{}", history.unwrap_or_default())
            });
        }
    }

    /// Waits until nothing is left in the queues, but for what is not due: a wake of a run that is closed by now.
    pub fn comes_to_rest(&self, seconds: u64) {
        eventually(seconds, "the queues to be empty", || {
            let idle = |depth: Depth| depth.visible == 0 && depth.in_flight == 0;
            AT_WORK.iter().all(|queue| idle(self.foreign.depth(&self.queue(queue)))).then_some(())
        });
    }

    /// What is in a dead-letter queue; it stays there, hidden for a minute.
    pub fn dead(&self, queue: &str) -> Vec<Received> {
        let queue = self.queue(&format!("{queue}-dead"));
        let mut all = Vec::new();
        loop {
            let some = self.foreign.receive(&queue, 60);
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    /// No dead-letter queue has anything, hidden or not.
    pub fn assert_no_dead_letters(&self) {
        for queue in DEAD {
            let depth = self.foreign.depth(&self.queue(queue));
            assert_eq!(depth, Depth::default(), "{queue}: {:?}", self.dead(queue.trim_end_matches("-dead")));
        }
    }

    /// How often a function was called, by its log, which comes after the calls: at least so often, soon.
    pub fn invocations(&self, function: &str, at_least: usize) -> usize {
        let group = format!("/aws/lambda/{}", self.function(function));
        eventually(60, &format!("{at_least} invocations in the log of {function}"), || {
            let log = self.foreign.log(&group);
            let calls = log.iter().filter(|line| line.starts_with("START RequestId")).count();
            (calls >= at_least).then_some(calls)
        })
    }
}

impl Drop for Stack {
    /// One that this binary has started ends with it, and all that is in it.
    fn drop(&mut self) {
        if self.emulator.pid().is_none() {
            let _ = deploy_script(self.emulator, &self.name).arg("--delete").status();
        }
    }
}

fn deploy_script(emulator: &Emulator, name: &str) -> Command {
    let mut command = Command::new(emulator.python());
    command.arg(root().join("localstack/deploy.py")).arg("--endpoint").arg(emulator.endpoint());
    command.arg("--stack").arg(name).stdin(Stdio::null());
    command
}
