//! What a firing costs in calls to the object store and the queues: the numbers of `docs/schedules.md`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, pending, ready};
use millrace::{Timestamp, prelude::*};
use millrace_core::{Namespace, Payload};
use millrace_engine::ports::{CallCounts, Clock, Counting, Ports, QueueName};
use millrace_engine::{Client, Orchestrator, OrchestratorConfig};
use millrace_format::Keys;
use millrace_format::message::{InboxMessage, StartMessage};
use millrace_local::{Memory, OsEntropy, TokioSpawn};

#[workflow]
async fn nothing(_ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(())
}

/// Moves only when it is told to.
struct Driven(Mutex<Timestamp>);

impl Driven {
    fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(by);
    }
}

impl Clock for Driven {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        if time <= self.now() { ready(()).boxed() } else { pending().boxed() }
    }
}

struct Rig {
    clock: Arc<Driven>,
    counting: Arc<Counting>,
    orchestrator: Orchestrator,
}

impl Rig {
    async fn started(overlap: &str) -> Self {
        let clock = Arc::new(Driven(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
        let memory = Memory::new(clock.clone());
        let spawn = Arc::new(TokioSpawn::new(tokio::runtime::Handle::current()));
        let entropy = Arc::new(OsEntropy);
        let ports = Ports { store: memory.clone(), queues: memory, clock: clock.clone(), entropy, spawn };
        let (counting, counted) = Counting::wrap(&ports);
        let config = OrchestratorConfig { poll: Duration::ZERO, ..OrchestratorConfig::default() };
        let code = App::new().workflow(nothing).workflow_code();
        let orchestrator = Orchestrator::new(counted, code, config);
        let schedule = serde_json::json!({ "every_s": 600, "workflow": "Nothing", "overlap": overlap });
        let input = Payload::of(&serde_json::json!({ "schedule": schedule })).unwrap();
        let (id, workflow) = ("s".parse().unwrap(), "millrace.schedule".parse().unwrap());
        let start = InboxMessage::Start(StartMessage {
            namespace: Some(Namespace::default()),
            request_id: Some("r".parse().unwrap()),
            ..StartMessage::plain(id, workflow, input)
        });
        Client::new(ports, Keys::new(Namespace::default()), None).send(&start).await.unwrap();
        let rig = Self { clock, counting, orchestrator };
        rig.turn_all().await;
        rig
    }

    async fn turn_all(&self) {
        loop {
            let inbox = self.orchestrator.poll(&QueueName::inbox()).await.unwrap();
            let events = self.orchestrator.poll(&QueueName::events()).await.unwrap();
            if inbox + events == 0 {
                return;
            }
        }
    }

    /// The calls of so many firings.
    async fn firings(&self, n: usize) -> CallCounts {
        let before = self.counting.counts();
        for _ in 0..n {
            self.clock.advance(Duration::from_secs(600));
            self.turn_all().await;
        }
        self.counting.counts() - before
    }
}

#[tokio::test]
async fn a_firing_is_two_commits_of_the_schedule_and_the_workflow_itself() {
    for overlap in ["skip", "allow_all"] {
        let rig = Rig::started(overlap).await;
        rig.firings(3).await;
        let used = rig.firings(20).await;
        let each = |n: u64| n / 20;
        // Two of the schedule. Of the workflow: one that begins and ends it, and its line in the closed index.
        assert_eq!((each(used.puts), used.puts % 20, used.puts_failed, used.lists), (4, 0, 0, 0), "{used:?}");
        // A new workflow is looked for once, and it is not in the open index any more.
        assert_eq!((used.gets, used.deletes), (20, 20), "{used:?}");
        // The start, the workflow's report, the next timer.
        assert_eq!(
            (used.messages_sent, used.messages_received, used.messages_deleted),
            (60, 60, 60),
            "{used:?}"
        );
    }
}

#[tokio::test]
async fn a_hundred_firings_are_followed_by_a_new_run() {
    let rig = Rig::started("skip").await;
    let used = rig.firings(120).await;
    // The archive, the new run, and the index of both.
    assert!(used.puts - 4 * 120 <= 4, "{used:?}");
}
