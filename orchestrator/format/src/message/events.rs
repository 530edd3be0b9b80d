//! What travels between the system's own parts through the events queue, and how it is read.

use millrace_core::{
    ActivityId, ActivityOutcome, ChildId, ChildOptions, Headers, IdConflict, Message, Namespace,
    OutcomeResult, Parent, Payload, RequestId, RunId, Start, Stop, TimerId, WorkflowId, WorkflowType,
};
use serde::{Deserialize, Serialize};

use super::{Addressed, BadMessage, kind_of, typed};

/// A message of the system's own: it may come only through the events queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventMessage {
    /// The contract's version.
    pub v: u32,
    /// Whose bucket keys it is about; several namespaces may share the queues.
    pub namespace: Namespace,
    /// Whose.
    pub workflow_id: WorkflowId,
    /// Which run's; the current one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// What it reports.
    #[serde(flatten)]
    pub report: Report,
}

/// What a message of the system's own reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    /// An activity attempt ended.
    Outcome(ActivityOutcome),
    /// A timer is due.
    Timer {
        /// Which timer.
        timer_id: TimerId,
    },
    /// A wake is due.
    Wake {
        /// Which wake.
        wake: u64,
    },
    /// A child ended, or could not be started.
    ChildOutcome {
        /// Which child.
        child_id: ChildId,
        /// How it went.
        result: OutcomeResult,
    },
    /// A run starts a child.
    StartChild(Box<StartChild>),
    /// A run makes its child stop.
    StopChild(Box<Stop>),
    /// A run tells another workflow something.
    Signal {
        /// The signal's name.
        name: String,
        /// What it carries.
        input: Payload,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// A run asks another workflow to stop.
    Cancel {
        /// Why.
        reason: String,
        /// Makes it count once.
        request_id: RequestId,
    },
}

/// What a run says when it starts a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartChild {
    /// The child's workflow type.
    pub workflow: WorkflowType,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// How it is to be run.
    #[serde(default)]
    pub options: ChildOptions,
    /// The call that starts it.
    pub parent: Parent,
    /// What the parent was started with.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
}

impl From<StartChild> for Start {
    fn from(StartChild { workflow, input, options, parent, headers }: StartChild) -> Self {
        Self {
            workflow,
            input,
            request_id: parent.start_request(),
            id_reuse: options.id_reuse,
            id_conflict: IdConflict::Fail,
            run_timeout: options.run_timeout,
            execution_timeout: options.execution_timeout,
            delay: None,
            memo: options.memo,
            attributes: options.attributes,
            headers,
            signal: None,
            update: None,
            parent: Some(parent),
        }
    }
}

/// What comes through the events queue alone. `signal` and `cancel` may come through it, too: from runs.
const INTERNAL: [&str; 6] = ["outcome", "timer", "wake", "child_outcome", "start_child", "stop_child"];

/// Whether a message of this type may come through the events queue alone.
pub(super) fn is_internal(kind: &str) -> bool {
    INTERNAL.contains(&kind)
}

/// The outcome of an attempt. Of any other message it cannot be read, and says so as soon as it meets the `type`.
#[derive(Deserialize)]
struct OutcomeReport {
    #[serde(rename = "type")]
    _is: IsOutcome,
    #[serde(default)]
    namespace: Namespace,
    workflow_id: WorkflowId,
    run_id: RunId,
    activity_id: ActivityId,
    attempt: u32,
    receive_count: u32,
    result: OutcomeResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsOutcome {
    Outcome,
}

impl From<OutcomeReport> for Addressed {
    fn from(report: OutcomeReport) -> Self {
        let OutcomeReport {
            namespace, workflow_id, run_id, activity_id, attempt, receive_count, result, ..
        } = report;
        let outcome = ActivityOutcome { activity_id, attempt, receive_count, result };
        Self { namespace, workflow_id, run_id: Some(run_id), message: Message::Outcome(outcome) }
    }
}

/// A message of any other internal kind: where it goes, and what the kind says.
#[derive(Deserialize)]
struct Internal<T> {
    #[serde(default)]
    namespace: Namespace,
    workflow_id: WorkflowId,
    #[serde(default)]
    run_id: Option<RunId>,
    #[serde(flatten)]
    says: T,
}

#[derive(Deserialize)]
struct TimerSays {
    timer_id: TimerId,
}

#[derive(Deserialize)]
struct WakeSays {
    wake: u64,
}

/// Payloads are kept as the text they came in, which a flattened struct cannot do; so these have their address inside.
macro_rules! report {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        struct $name {
            #[serde(default)]
            namespace: Namespace,
            workflow_id: WorkflowId,
            #[serde(default)]
            run_id: Option<RunId>,
            $($(#[$attribute])* $field: $type,)*
        }
    };
}

report!(ChildReport { child_id: ChildId, result: OutcomeResult });
report!(StartReport {
    workflow: WorkflowType,
    #[serde(default)]
    input: Payload,
    #[serde(default)]
    options: ChildOptions,
    parent: Parent,
    #[serde(default)]
    headers: Headers,
});
report!(SignalReport {
    name: String,
    #[serde(default)]
    input: Payload,
    request_id: RequestId,
});
report!(CancelReport {
    #[serde(default)]
    reason: String,
    request_id: RequestId,
});

/// Reads a message from the events queue.
pub fn read_event(body: &str) -> Result<Addressed, BadMessage> {
    // The most frequent messages of all are read in one pass.
    if let Ok(outcome) = serde_json::from_str::<OutcomeReport>(body) {
        return Ok(outcome.into());
    }
    let kind = kind_of(body)?;
    macro_rules! addressed {
        ($report:ident, $message:expr) => {
            Addressed {
                namespace: $report.namespace,
                workflow_id: $report.workflow_id,
                run_id: $report.run_id,
                message: $message,
            }
        };
    }
    Ok(match kind.as_ref() {
        "outcome" => typed::<OutcomeReport>(body)?.into(),
        "timer" => {
            let report: Internal<TimerSays> = typed(body)?;
            addressed!(report, Message::Timer { timer_id: report.says.timer_id })
        }
        "wake" => {
            let report: Internal<WakeSays> = typed(body)?;
            addressed!(report, Message::Wake { wake: report.says.wake })
        }
        "stop_child" => {
            let report: Internal<Stop> = typed(body)?;
            addressed!(report, Message::Stop(Box::new(report.says)))
        }
        "child_outcome" => {
            let report: ChildReport = typed(body)?;
            addressed!(report, Message::ChildOutcome { child_id: report.child_id, result: report.result })
        }
        "start_child" => {
            let report: StartReport = typed(body)?;
            let (workflow, input, options) = (report.workflow, report.input, report.options);
            let (parent, headers) = (report.parent, report.headers);
            let child = StartChild { workflow, input, options, parent, headers };
            addressed!(report, Message::Start(Box::new(child.into())))
        }
        "signal" => {
            let report: SignalReport = typed(body)?;
            let (name, input, request_id) = (report.name, report.input, report.request_id);
            addressed!(report, Message::Signal { name, input, request_id, after: None })
        }
        "cancel" => {
            let report: CancelReport = typed(body)?;
            let (reason, request_id) = (report.reason, report.request_id);
            addressed!(report, Message::Cancel { reason, request_id })
        }
        other => {
            let known = INTERNAL.join(", ");
            return Err(BadMessage(format!(
                "type: `{other:.100}` does not belong in the events queue ({known})"
            )));
        }
    })
}
