//! Who plays in a world.

use std::sync::Arc;

use futures::future::BoxFuture;
use millrace::{App, Workflow};
use millrace_core::{Event, Payload, Status};
use millrace_engine::Client;
use millrace_engine::ports::{Clock, Entropy};
use serde_json::{Value, json};

use super::pause;
use crate::family::{EntityWorkflow, FamilyWorkflow, Ledger, StewardWorkflow};
use crate::workflows::{EverythingWorkflow, PatientWorkflow, Probe, app};

/// The workflows that come to an end, those that others start among them.
const IDS: [&str; 12] = [
    "everything-1",
    "everything-2",
    "patient-1",
    "family-1",
    "family-1-ward",
    "family-1-twin",
    "family-1-tidy",
    "family-1-wanderer-1",
    "family-1-wanderer-2",
    "family-1-left",
    "entity-1",
    "steward-1",
];

/// Who plays in a world, and what is asked of them.
#[derive(Clone)]
pub struct Cast {
    /// What the processes can run.
    pub app: fn(Arc<dyn Clock>, Arc<Probe>) -> App,
    /// The workflows that come to an end.
    pub ids: Vec<String>,
    /// What clients send, after so many seconds.
    pub requests: Vec<(u64, Value)>,
    /// Whether requests may come too late, and end as dead letters.
    pub may_be_late: bool,
    /// Those outside that do more than that, each without any fault of its own.
    pub outsiders: fn(Outside) -> Vec<BoxFuture<'static, ()>>,
    /// What is done in one process that has faults as any other: killed, it begins again.
    pub staff: fn(Outside) -> Vec<BoxFuture<'static, ()>>,
    /// A result, readable: what is encrypted differs each time.
    pub opened: fn(&Payload) -> Payload,
    /// What nothing shows that is stored or sent.
    pub hidden: &'static [&'static str],
    /// The runs that end so are followed by another of their id.
    pub replaced: fn(&str, Status) -> bool,
    /// The workflows whose result may be any.
    pub any_result: fn(&str) -> bool,
    /// What is wrong with a history, beside what must hold of every one.
    pub examine: fn(&[Event]) -> Option<String>,
}

impl Default for Cast {
    /// The workflows that use everything.
    fn default() -> Self {
        let ids = IDS.map(str::to_owned).into();
        Self {
            app,
            ids,
            requests: requests(),
            may_be_late: false,
            outsiders: |_| Vec::new(),
            staff: |_| Vec::new(),
            opened: Payload::clone,
            hidden: &[],
            replaced: |_, _| false,
            any_result: |_| false,
            examine: |_| None,
        }
    }
}

/// What somebody outside has: nothing goes wrong with it, unless it is [staff](Cast::staff).
#[derive(Clone)]
#[allow(missing_docs, reason = "each field is what its type says")]
pub struct Outside {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub probe: Arc<Probe>,
}

impl Outside {
    /// Waits.
    pub async fn pause(&self, seconds: u64) {
        pause(&*self.clock, seconds).await;
    }

    /// Sends a message to the inbox, until it is there.
    pub async fn send(&self, message: &Value) {
        send(&self.client, &*self.clock, message).await;
    }
}

/// Sends a message to the inbox, until it is there. It says whom it is for in as many words, as careful people do.
pub(super) async fn send(client: &Client, clock: &dyn Clock, message: &Value) {
    let mut message = message.clone();
    (message["v"], message["namespace"]) = (json!(1), json!("default"));
    while client.send_raw(message.to_string()).await.is_err() {
        pause(clock, 1).await;
    }
}

fn requests() -> Vec<(u64, Value)> {
    let start = |workflow: &str, id: &str, input: Value| json!({"type": "start", "workflow": workflow, "id": id, "input": input, "request_id": format!("start-{id}")});
    let signal = |id: &str, name: &str, key: &str, input: Value| json!({"type": "signal", "id": id, "name": name, "input": input, "request_id": format!("{name}-{key}-{id}")});
    let everything = EverythingWorkflow::NAME;
    let mut requests = vec![
        (0, start(everything, "everything-1", json!(1))),
        (1, start(everything, "everything-1", json!(1))),
        (0, start(everything, "everything-2", json!(2))),
        (3, start(PatientWorkflow::NAME, "patient-1", json!(null))),
        (2, start(FamilyWorkflow::NAME, "family-1", json!(null))),
        (0, start(StewardWorkflow::NAME, "steward-1", json!(null))),
        (2, start(EntityWorkflow::NAME, "entity-1", json!(Ledger::default()))),
        (4_000, json!({"type": "cancel", "id": "patient-1", "reason": "enough", "request_id": "cancel-1"})),
    ];
    let update = |id: &str, name: &str, key: u64, n: u64| json!({"type": "update", "id": id, "name": name, "input": {"n": n}, "request_id": format!("{name}-{key}-{id}")});
    requests.extend((1..=12).map(|n| (n * 90, signal("entity-1", "note", &n.to_string(), json!({"n": n})))));
    requests.extend([(200, update("entity-1", "add", 1, 10)), (700, update("entity-1", "add", 2, 20))]);
    requests.extend([(300, update("entity-1", "ask", 1, 3)), (900, update("entity-1", "ask", 2, 4))]);
    requests.extend(
        [10, 0, 20, 0].iter().zip(1..).map(|(n, key)| (key * 50, update("steward-1", "add", key, *n))),
    );
    for id in ["everything-1", "everything-2"] {
        requests.extend((1..=3).map(|n| (n * 400 + 10, signal(id, "note", &n.to_string(), json!({"n": n})))));
        requests.push((5_000, signal(id, "approve", "1", json!({"by": "ann"}))));
    }
    requests
}
