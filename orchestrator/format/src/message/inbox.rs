//! The public contract: every message that anyone may send to the inbox, and its fields.

use millrace_core::{
    ActivityId, ApplicationFailure, CompletionToken, Headers, IdConflict, IdReuse, Namespace, Payload,
    RequestId, RunId, WithStart, WorkflowId, WorkflowType,
};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use super::{BadMessage, typed};

/// A time that is given: JSON has no NaN and no infinity, and whoever has one writes `null`, which is not the same as no limit.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let given = Option::<f64>::deserialize(deserializer)?;
    given.map(Some).ok_or_else(|| {
        D::Error::custom(
            "null is no number of seconds (NaN and infinity are written so); leave the field out instead",
        )
    })
}

/// Every type of message that may come through the inbox: one list for the enum, the reader and the errors.
macro_rules! inbox {
    ($($(#[$doc:meta])* $kind:literal $variant:ident($message:ident),)*) => {
        /// A message of the public contract, version 1: what anyone may send to the inbox. JSON objects told apart by
        /// `type`.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "type")]
        pub enum InboxMessage {
            $($(#[$doc])* #[serde(rename = $kind)] $variant($message),)*
        }

        impl InboxMessage {
            /// Every type, as written in `type`.
            pub const TYPES: &[&str] = &[$($kind),*];

            /// Reads a message of this type; `None` if none of that type may come through the inbox.
            pub(super) fn read(kind: &str, body: &str) -> Option<Result<Self, BadMessage>> {
                match kind {
                    $($kind => Some(typed(body).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

inbox!(
    /// Begin a run.
    "start" Start(StartMessage),
    /// Tell a run something.
    "signal" Signal(SignalMessage),
    /// Ask a run something that it answers.
    "update" Update(SignalMessage),
    /// Ask a run to stop.
    "cancel" Cancel(StopMessage),
    /// End a run by force.
    "terminate" Terminate(StopMessage),
    /// Try a blocked run again now.
    "resume" Resume(ResumeMessage),
    /// Hold back the code, or the attempts of one of its activities.
    "pause" Pause(PauseMessage),
    /// Go on with what was held back.
    "unpause" Unpause(UnpauseMessage),
    /// Make the attempt that an activity waits for now.
    "retry" Retry(RetryMessage),
    /// Replace the run by one that begins with its first events.
    "reset" Reset(ResetMessage),
    /// Begin a run with the first events of another workflow's.
    "fork" Fork(ForkMessage),
    /// Give the result of an activity that completes later.
    "complete" Complete(CompleteMessage),
    /// Say why there is none.
    "fail" Fail(FailMessage),
);

/// What every inbox message may carry, around what says whom it is for.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident [$($address:tt)*] $request_id_doc:literal { $($fields:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            #[doc(hidden)]
            #[serde(rename = "type", default, skip_serializing)]
            pub kind: Ignored,
            /// The contract's version; 1 if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub v: Option<u32>,
            $($address)*
            /// The namespace; `default` if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub namespace: Option<Namespace>,
            #[doc = $request_id_doc]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub request_id: Option<RequestId>,
            $($fields)*
        }
    };
}

/// A message for a workflow.
macro_rules! to_workflow {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        message!(
            $(#[$doc])*
            $name [
                /// The workflow id.
                pub id: WorkflowId,
                /// The run that is meant; the current one if absent.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub run_id: Option<RunId>,
            ]
            "Makes the request count once; the queue's message id if absent."
            { $($(#[$field_doc])* pub $field: $type,)* }
        );

        impl $name {
            /// The same for one run of the workflow.
            #[must_use]
            pub fn of_run(self, run_id: Option<RunId>) -> Self {
                Self { run_id, ..self }
            }
        }
    };
}

/// The same, made of all that it says.
macro_rules! request {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        to_workflow!($(#[$doc])* $name { $($(#[$field_doc])* $field: $type,)* });

        impl $name {
            /// A message for the workflow's current run; whoever passes it on completes it.
            pub fn new(id: WorkflowId $(, $field: $type)*) -> Self {
                let (v, run_id, namespace, request_id) = (None, None, None, None);
                Self { kind: Ignored, v, id, run_id, namespace, request_id $(, $field)* }
            }
        }
    };
}

/// A message for the holder of a completion token, which says for whom it is.
macro_rules! to_token {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        message!(
            $(#[$doc])*
            $name []
            "Only for the sender: the token makes it count once."
            {
                /// The attempt's token.
                pub token: CompletionToken,
                $($(#[$field_doc])* pub $field: $type,)*
            }
        );
    };
}

/// Stands for the `type` field, which has been read before.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

to_workflow!(
    /// `{"type":"start","workflow":"TrainTestDeploy","id":"digits-42","input":{…}}`
    StartMessage {
        /// The workflow's type.
        workflow: WorkflowType,
        /// Its input; `null` if absent.
        #[serde(default)]
        input: Payload,
        /// Whether the id of a closed run may be used again.
        #[serde(default)]
        id_reuse: IdReuse,
        /// What happens if a run of this id is open.
        #[serde(default)]
        id_conflict: IdConflict,
        /// How long the workflow may take, in seconds.
        #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
        execution_timeout_s: Option<f64>,
        /// How long this run may take, in seconds.
        #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
        run_timeout_s: Option<f64>,
        /// Notes for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memo: Option<Payload>,
        /// Values to filter lists by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attributes: Option<Payload>,
        /// What is handed on to everything that comes of it, such as a `traceparent`.
        #[serde(default, skip_serializing_if = "Headers::is_empty")]
        headers: Headers,
        /// How long the code waits before it begins, in seconds.
        #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
        start_delay_s: Option<f64>,
        /// A signal to deliver with the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<WithStart>,
        /// An update to deliver with the start; its answer goes by the start's request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        update: Option<WithStart>,
    }
);

impl StartMessage {
    /// A start that says nothing but this.
    pub fn plain(id: WorkflowId, workflow: WorkflowType, input: Payload) -> Self {
        Self {
            kind: Ignored,
            v: None,
            id,
            run_id: None,
            namespace: None,
            request_id: None,
            workflow,
            input,
            id_reuse: IdReuse::default(),
            id_conflict: IdConflict::default(),
            execution_timeout_s: None,
            run_timeout_s: None,
            memo: None,
            attributes: None,
            headers: Headers::new(),
            start_delay_s: None,
            signal: None,
            update: None,
        }
    }
}

request!(
    /// `{"type":"signal","id":"digits-42","name":"approve","input":{…}}`, and `update` alike.
    SignalMessage {
        /// The signal's, or the update's name.
        name: String,
        /// What it carries; `null` if absent.
        #[serde(default)]
        input: Payload,
        /// Only of a signal: the request id of the one that comes before it. It waits for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<RequestId>,
    }
);

request!(
    /// `{"type":"cancel","id":"digits-42","reason":"superseded"}`, and `terminate` alike.
    StopMessage {
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
    }
);

request!(
    /// `{"type":"resume","id":"digits-42"}`
    ResumeMessage {}
);

request!(
    /// `{"type":"pause","id":"digits-42","reason":"the vendor is down"}`
    PauseMessage {
        /// The activity whose attempts are held back; the run's code if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activity_id: Option<ActivityId>,
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
    }
);

request!(
    /// `{"type":"unpause","id":"digits-42"}`
    UnpauseMessage {
        /// The activity; the run's code if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activity_id: Option<ActivityId>,
    }
);

request!(
    /// `{"type":"retry","id":"digits-42","activity_id":3}`
    RetryMessage {
        /// The activity that waits for its next attempt.
        activity_id: ActivityId,
    }
);

request!(
    /// `{"type":"reset","id":"digits-42","run_id":"…","event":17,"reason":"a bug in the scoring"}`. `run_id` names the run
    /// whose events are taken, and must be there; whatever run is open is replaced.
    ResetMessage {
        /// The last event that the new run takes over.
        event: u64,
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
        /// Whether the new run is told the signals that came after that event.
        #[serde(default = "yes")]
        reapply: bool,
    }
);

request!(
    /// `{"type":"fork","id":"digits-42-b","from":"digits-42","event":17}`
    ForkMessage {
        /// The workflow whose events are taken.
        from: WorkflowId,
        /// Its run; the current one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_run_id: Option<RunId>,
        /// The last event that the new run takes over.
        event: u64,
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
        /// Whether the new run is told the signals that came after that event.
        #[serde(default = "yes")]
        reapply: bool,
    }
);

fn yes() -> bool {
    true
}

to_token!(
    /// `{"type":"complete","token":"…","result":{…}}`. The token says for whom it is, and counts once.
    CompleteMessage {
        /// The activity's result; `null` if absent.
        #[serde(default)]
        result: Payload,
    }
);

to_token!(
    /// `{"type":"fail","token":"…","failure":{"type":"Rejected","message":"…"}}`. The retry policy says what follows.
    FailMessage {
        /// Why there is no result.
        failure: ApplicationFailure,
    }
);
