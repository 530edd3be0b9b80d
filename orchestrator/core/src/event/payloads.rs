//! Where the payloads of an event are. Whoever writes histories keeps large ones apart from the text, and puts them back.
//!
//! Every field of every struct is named in one table, on the side of those that carry payloads or of those that do not: a
//! kind or a field that is not in it does not compile.

use std::fmt;

use super::*;
use crate::{ActivityFailure, ApplicationFailure, Fault};

/// Where a payload is in its event's JSON: `input`, `unread.signals.0.input`. Written only if somebody asks.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    up: Option<&'p Place<'p>>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Field(&'static str),
    Item(usize),
}

impl<'p> Place<'p> {
    /// The event itself.
    pub(super) const EVENT: Self = Self { up: None, step: Step::Field("") };

    fn field(&'p self, name: &'static str) -> Self {
        Self { up: Some(self), step: Step::Field(name) }
    }

    fn item(&'p self, i: usize) -> Self {
        Self { up: Some(self), step: Step::Item(i) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(up) = self.up else { return Ok(()) };
        if up.up.is_some() {
            write!(f, "{up}.")?;
        }
        match self.step {
            Step::Field(name) => f.write_str(name),
            Step::Item(i) => write!(f, "{i}"),
        }
    }
}

/// Sees each payload with its place.
type Visit<'v, 'a> = &'v mut dyn FnMut(&Place<'_>, &'a Payload);
/// The same, and may put another in its place.
type VisitMut<'v> = &'v mut dyn FnMut(&Place<'_>, &mut Payload);

/// What may carry payloads.
pub(super) trait Carries {
    fn each<'a>(&'a self, at: &Place<'_>, visit: Visit<'_, 'a>);
    fn each_mut(&mut self, at: &Place<'_>, visit: VisitMut<'_>);
}

impl Carries for Payload {
    fn each<'a>(&'a self, at: &Place<'_>, visit: Visit<'_, 'a>) {
        visit(at, self);
    }

    fn each_mut(&mut self, at: &Place<'_>, visit: VisitMut<'_>) {
        visit(at, self);
    }
}

impl<T: Carries> Carries for Option<T> {
    fn each<'a>(&'a self, at: &Place<'_>, visit: Visit<'_, 'a>) {
        if let Some(inner) = self {
            inner.each(at, visit);
        }
    }

    fn each_mut(&mut self, at: &Place<'_>, visit: VisitMut<'_>) {
        if let Some(inner) = self {
            inner.each_mut(at, visit);
        }
    }
}

impl<T: Carries> Carries for Vec<T> {
    fn each<'a>(&'a self, at: &Place<'_>, visit: Visit<'_, 'a>) {
        self.iter().enumerate().for_each(|(i, item)| item.each(&at.item(i), visit));
    }

    fn each_mut(&mut self, at: &Place<'_>, visit: VisitMut<'_>) {
        self.iter_mut().enumerate().for_each(|(i, item)| item.each_mut(&at.item(i), visit));
    }
}

impl Carries for Fault {
    fn each<'a>(&'a self, at: &Place<'_>, visit: Visit<'_, 'a>) {
        match self {
            Self::Application(failure) => failure.each(&at.field("application"), visit),
            Self::TimedOut { kind: _, cause } => {
                cause.each(&at.field("timed_out").field("cause"), visit);
            }
            Self::Canceled { reason: _ } | Self::Terminated { reason: _ } => {}
        }
    }

    fn each_mut(&mut self, at: &Place<'_>, visit: VisitMut<'_>) {
        match self {
            Self::Application(failure) => failure.each_mut(&at.field("application"), visit),
            Self::TimedOut { kind: _, cause } => {
                cause.each_mut(&at.field("timed_out").field("cause"), visit);
            }
            Self::Canceled { reason: _ } | Self::Terminated { reason: _ } => {}
        }
    }
}

macro_rules! carries {
    ($($name:ident { $($plain:ident),* ; $($field:ident),* })*) => {$(
        #[allow(unused_variables, reason = "some carry nothing")]
        impl Carries for $name {
            fn each<'a>(&'a self, at: &Place<'_>, visit: Visit<'_, 'a>) {
                let Self { $($plain: _,)* $($field,)* } = self;
                $($field.each(&at.field(stringify!($field)), visit);)*
            }

            fn each_mut(&mut self, at: &Place<'_>, visit: VisitMut<'_>) {
                let Self { $($plain: _,)* $($field,)* } = self;
                $($field.each_mut(&at.field(stringify!($field)), visit);)*
            }
        }
    )*};
}

// A struct's fields: those without payloads; those that are or carry payloads, by the names they have in JSON.
carries! {
    RunStarted {
        workflow, request_id, run_timeout, execution_deadline, begins_at, parent, continued_from, first_run_id, headers,
        version, forked_from;
        input, memo, attributes, unread
    }
    Unread { cancel; signals, updates }
    UnreadMessage { name, request_id; input }
    RunCompleted { ; result }
    RunFailed { ; fault }
    RunTimedOut { limit; }
    RunCanceled { reason, before_start; }
    RunTerminated { reason, request_id; }
    RunContinuedAsNew { new_run_id, workflow; input, unread }
    RunBlocked { reason, build; }
    ActivityScheduled { activity_id, activity, task_queue, options, secret; input }
    ActivityAttemptFailed { activity_id, attempt, next_attempt, retry_at; fault }
    ActivityCompleted { activity_id, attempt; result }
    ActivityFailed { activity_id; failure }
    ActivityCancelRequested { activity_id, waits; }
    LocalActivityCompleted { activity_id, activity, attempts; result }
    LocalActivityFailed { activity_id; failure }
    TimerStarted { timer_id, fire_at; }
    TimerFired { timer_id; }
    TimerCanceled { timer_id; }
    ChildScheduled { child_id, workflow, workflow_id; input, options }
    ChildOptions { parent_close, id_reuse, execution_timeout, run_timeout; memo, attributes }
    ChildCompleted { child_id; result }
    ChildFailed { child_id; failure }
    ChildCancelRequested { child_id, reason, how; }
    SignalSent { sent_id, workflow_id, name; input }
    CancelSent { sent_id, workflow_id, reason; }
    SignalReceived { name, request_id; input }
    UpdateReceived { name, request_id; input }
    UpdateCompleted { request_id; result }
    UpdateRejected { request_id, reason; }
    Patched { patch; }
    CancelRequested { reason, request_id; }
    ResumeRequested { request_id; }
    RunPaused { reason, request_id; }
    RunUnpaused { request_id; }
    ActivityPaused { activity_id, reason, request_id; }
    ActivityUnpaused { activity_id, attempt, request_id; }
    ActivityRetryRequested { activity_id, attempt, request_id; }
    ActivityFailure { activity, attempts; fault }
    WorkflowFailure { workflow; fault }
    ApplicationFailure { kind, message, non_retryable, retry_after, causes; details }
}
