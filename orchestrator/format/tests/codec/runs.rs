//! Any event, and any run: what a history object may hold.

use millrace_core::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::values::*;

pub(crate) fn blocked() -> impl Strategy<Value = Blocked> {
    prop_oneof![
        (any::<u64>(), text(), text()).prop_map(|(event, expected, got)| Blocked::Nondeterminism {
            event,
            expected,
            got
        }),
        (text(), of(text())).prop_map(|(on, at)| Blocked::Foreign { on, at }),
        (text(), of(text())).prop_map(|(message, at)| Blocked::Panic { message, at }),
        (text(), vec(text(), 0..3))
            .prop_map(|(workflow, known)| Blocked::UnknownWorkflow { workflow, known }),
        text().prop_map(|message| Blocked::BadInput { message }),
        text().prop_map(|message| Blocked::Suspect { message }),
        (text(), any::<u64>()).prop_map(|(what, bytes)| Blocked::TooLarge { what, bytes }),
        (any::<u32>(), millis(), time()).prop_map(|(turns, within, until)| Blocked::Runaway {
            turns,
            within,
            until
        }),
    ]
}

pub(crate) fn unread() -> impl Strategy<Value = Unread> {
    let message = || {
        let one = (text(), payload(), request());
        vec(one.prop_map(|(name, input, request_id)| UnreadMessage { name, input, request_id }), 0..3)
    };
    (message(), message(), text()).prop_map(|(signals, updates, reason)| {
        let request_id = RequestId::new("stop").unwrap();
        Unread { signals, updates, cancel: Some(CancelRequested { reason, request_id }) }
    })
}

pub(crate) fn forked_from() -> impl Strategy<Value = ForkedFrom> {
    (workflow_id(), run_id(), any::<u64>(), time(), run_id(), text()).prop_map(
        |(workflow_id, run_id, event, at, seed, reason)| ForkedFrom {
            workflow_id,
            run_id,
            event,
            at,
            seed,
            reason,
        },
    )
}

pub(crate) fn started() -> impl Strategy<Value = RunStarted> {
    let said = (workflow(), payload(), request(), of(millis()), of(payload()), of(payload()));
    let chain = (of(time()), of(time()), of(parent()), of(run_id()), of(run_id()), unread(), headers());
    (said, chain, of(text()), of(forked_from())).prop_map(|(said, chain, version, forked_from)| {
        let (workflow, input, request_id, run_timeout, memo, attributes) = said;
        let (execution_deadline, begins_at, parent, continued_from, first_run_id, unread, headers) = chain;
        let (memo, attributes) = (present(memo), present(attributes));
        RunStarted {
            workflow,
            input,
            request_id,
            run_timeout,
            memo,
            attributes,
            headers,
            execution_deadline,
            begins_at,
            parent,
            continued_from,
            first_run_id,
            unread,
            version,
            forked_from,
        }
    })
}

pub(crate) fn how() -> impl Strategy<Value = StopChild> {
    prop_oneof![Just(StopChild::Cancel), Just(StopChild::Terminate)]
}

pub(crate) fn kind() -> impl Strategy<Value = EventKind> {
    let queue = "[a-z]{1,9}".prop_map(|queue| TaskQueue::new(queue).unwrap());
    prop_oneof![
        started().prop_map(Into::into),
        (run_id(), workflow(), payload(), unread()).prop_map(|(new_run_id, workflow, input, unread)| {
            RunContinuedAsNew { new_run_id, workflow, input, unread }.into()
        }),
        (any::<u64>(), workflow(), workflow_id(), payload(), child_options()).prop_map(
            |(child_id, workflow, workflow_id, input, options)| {
                ChildScheduled { child_id, workflow, workflow_id, input, options }.into()
            }
        ),
        (any::<u64>(), payload()).prop_map(|(child_id, result)| ChildCompleted { child_id, result }.into()),
        (any::<u64>(), text(), fault()).prop_map(|(child_id, workflow, fault)| {
            ChildFailed { child_id, failure: WorkflowFailure { workflow, fault } }.into()
        }),
        (any::<u64>(), text(), any::<bool>()).prop_map(|(child_id, reason, by_force)| {
            let how = if by_force { StopChild::Terminate } else { StopChild::Cancel };
            ChildCancelRequested { child_id, reason, how }.into()
        }),
        (any::<u64>(), workflow_id(), text(), payload()).prop_map(|(sent_id, workflow_id, name, input)| {
            SignalSent { sent_id, workflow_id, name, input }.into()
        }),
        (any::<u64>(), workflow_id(), text()).prop_map(|(sent_id, workflow_id, reason)| CancelSent {
            sent_id,
            workflow_id,
            reason
        }
        .into()),
        (text(), payload(), request()).prop_map(|(name, input, request_id)| UpdateReceived {
            name,
            input,
            request_id
        }
        .into()),
        (request(), payload()).prop_map(|(request_id, result)| UpdateCompleted { request_id, result }.into()),
        (request(), text()).prop_map(|(request_id, reason)| UpdateRejected { request_id, reason }.into()),
        text().prop_map(|patch| Patched { patch }.into()),
        payload().prop_map(|result| RunCompleted { result }.into()),
        fault().prop_map(|fault| RunFailed { fault }.into()),
        millis().prop_map(|limit| RunTimedOut { limit }.into()),
        (text(), any::<bool>())
            .prop_map(|(reason, before_start)| RunCanceled { reason, before_start }.into()),
        (text(), of(request())).prop_map(|(reason, request_id)| RunTerminated { reason, request_id }.into()),
        (blocked(), text()).prop_map(|(reason, build)| RunBlocked { reason, build }.into()),
        (any::<u64>(), text(), queue, payload(), options(), of(text())).prop_map(
            |(activity_id, activity, task_queue, input, options, secret)| {
                ActivityScheduled { activity_id, activity, task_queue, input, options, secret }.into()
            }
        ),
        (any::<u64>(), any::<u32>(), any::<u32>(), time(), fault()).prop_map(
            |(activity_id, attempt, next_attempt, retry_at, fault)| {
                ActivityAttemptFailed { activity_id, attempt, next_attempt, retry_at, fault }.into()
            }
        ),
        (any::<u64>(), any::<u32>(), payload()).prop_map(|(activity_id, attempt, result)| {
            ActivityCompleted { activity_id, attempt, result }.into()
        }),
        (any::<u64>(), text(), any::<u32>(), fault()).prop_map(|(activity_id, activity, attempts, fault)| {
            ActivityFailed { activity_id, failure: ActivityFailure { activity, attempts, fault } }.into()
        }),
        (any::<u64>(), text(), any::<u32>(), payload()).prop_map(
            |(activity_id, activity, attempts, result)| {
                LocalActivityCompleted { activity_id, activity, attempts, result }.into()
            }
        ),
        (any::<u64>(), text(), any::<u32>(), fault()).prop_map(|(activity_id, activity, attempts, fault)| {
            LocalActivityFailed { activity_id, failure: ActivityFailure { activity, attempts, fault } }.into()
        }),
        (any::<u64>(), any::<bool>()).prop_map(|(activity_id, waits)| ActivityCancelRequested {
            activity_id,
            waits
        }
        .into()),
        (any::<u64>(), time()).prop_map(|(timer_id, fire_at)| TimerStarted { timer_id, fire_at }.into()),
        any::<u64>().prop_map(|timer_id| TimerFired { timer_id }.into()),
        any::<u64>().prop_map(|timer_id| TimerCanceled { timer_id }.into()),
        (text(), payload(), request()).prop_map(|(name, input, request_id)| SignalReceived {
            name,
            input,
            request_id
        }
        .into()),
        (text(), request()).prop_map(|(reason, request_id)| CancelRequested { reason, request_id }.into()),
        request().prop_map(|request_id| ResumeRequested { request_id }.into()),
        held().prop_map(Into::into),
    ]
}

/// What people hold back and let go on.
pub(crate) fn held() -> impl Strategy<Value = EventKind> {
    (0..5_u8, any::<(u64, u32)>(), text(), request()).prop_map(
        |(kind, (activity_id, attempt), reason, request_id)| match kind {
            0 => RunPaused { reason, request_id }.into(),
            1 => RunUnpaused { request_id }.into(),
            2 => ActivityPaused { activity_id, reason, request_id }.into(),
            3 => ActivityUnpaused { activity_id, attempt, request_id }.into(),
            _ => ActivityRetryRequested { activity_id, attempt, request_id }.into(),
        },
    )
}

pub(crate) fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        (any::<u64>(), any::<u32>(), time()).prop_map(|(activity_id, attempt, at)| Effect::SendTask {
            activity_id,
            attempt,
            at
        }),
        (any::<u64>(), time()).prop_map(|(timer_id, at)| Effect::SendTimer { timer_id, at }),
        (any::<u64>(), time()).prop_map(|(wake, at)| Effect::SendWake { wake, at }),
        (any::<u64>(), text())
            .prop_map(|(activity_id, reason)| Effect::CancelActivity { activity_id, reason }),
        (any::<u64>(), time()).prop_map(|(child_id, at)| Effect::SendStart { child_id, at }),
        (any::<u64>(), workflow_id(), workflow(), how(), text(), time()).prop_map(
            |(child_id, workflow_id, workflow, how, reason, at)| Effect::StopChild {
                child_id,
                workflow_id,
                workflow,
                how,
                reason,
                at
            }
        ),
        Just(Effect::ReportToParent),
        (any::<u64>(), time()).prop_map(|(sent_id, at)| Effect::Send { sent_id, at }),
        Just(Effect::IndexOpen),
        Just(Effect::IndexClosed),
    ]
}

pub(crate) fn guard() -> impl Strategy<Value = Identity> {
    let earlier = (run_id(), plain_guard());
    prop_oneof![
        4 => plain_guard(),
        1 => earlier.prop_map(|(run_id, guard)| Identity::Earlier(run_id, Box::new(guard))),
    ]
}

pub(crate) fn plain_guard() -> impl Strategy<Value = Identity> {
    prop_oneof![
        any::<u64>().prop_map(Identity::Child),
        request().prop_map(Identity::Request),
        (any::<u64>(), any::<u32>()).prop_map(|(activity, attempt)| Identity::Activity(activity, attempt)),
        any::<u64>().prop_map(Identity::Timer),
        any::<u64>().prop_map(Identity::Wake),
    ]
}

prop_compose! {
    /// A run with a header as full as can be.
    pub(crate) fn run()(
        (info, now) in (workflow(), any::<u128>(), time()).prop_map(|(workflow, run_id, started_at)| (
            RunInfo::new(WorkflowId::new("w-1").unwrap(), RunId::from_random(run_id), workflow, started_at), started_at,
        )),
        effects in vec((guard(), effect()), 0..5),
        (wake, sent, absorbed) in (of((any::<u64>(), time())), any::<u64>(), any::<u64>()),
        mark in of((blocked(), text(), time())),
        paused in of((text(), time())),
        pace in of((time(), any::<u32>())),
        published in of(payload()),
        carried in vec((request(), any::<u128>(), time()), 0..4),
        rejected in vec((request(), text()), 0..3),
        children in vec((any::<u64>(), workflow(), workflow_id(), child_options()), 0..3),
        turn in any::<u64>(),
        closed_under in of(guard()),
    ) -> Run {
        let mut run = Run::new(info);
        run.closed_under = closed_under;
        run.last_time = now;
        run.turn = turn;
        run.effects = effects.into_iter().map(|(guard, effect)| (effect.key(), PendingEffect { guard, effect })).collect();
        run.wake = wake.map(|(wake, at)| Wake { wake, at });
        (run.wakes_sent, run.wakes_absorbed) = (sent, absorbed);
        run.blocked = mark.map(|(reason, build, since)| BlockedMark { reason, build, since });
        run.paused = paused.map(|(reason, since)| PausedMark { reason, since });
        run.pace = pace.map(|(since, turns)| Pace { since, turns });
        run.published = present(published);
        run.carried = carried.into_iter().map(|(request_id, run_id, at)| CarriedRequest {
            request_id, run_id: RunId::from_random(run_id), at,
        }).collect();
        run.rejected = rejected.into_iter().map(|(request_id, reason)| RejectedUpdate { request_id, reason }).collect();
        run.children = children.into_iter().map(|(child_id, workflow, workflow_id, options)| {
            (child_id, ChildScheduled { child_id, workflow, workflow_id, input: Payload::null(), options }.into())
        }).collect();
        run
    }
}
