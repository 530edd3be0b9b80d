//! Whatever is written is read again: events, headers, parts, leases, timer and index entries, messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod marked;

use std::time::Duration;

use millrace_core::*;
use millrace_format::history::{self, Commit, Tail};
use millrace_format::message::{
    self, CompleteMessage, EventMessage, FailMessage, ForkMessage, InboxMessage, PauseMessage, Report,
    ResetMessage, ResumeMessage, RetryMessage, SignalMessage, StartChild, StartMessage, StopMessage,
    UnpauseMessage,
};
use millrace_format::{Attributes, Head, Header, IndexEntry, Lease, Line, Reference, TimerEntry};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{0,12}", any::<String>(), Just("\u{2028}\"\\\n\r\0\u{7f}🦀".to_owned())]
}

fn payload() -> impl Strategy<Value = Payload> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    let json = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop_oneof![
        json.clone().prop_map(|json| Payload::of(&json).unwrap()),
        json.prop_map(|json| Payload::parse(&serde_json::to_string_pretty(&json).unwrap()).unwrap()),
        Just(Payload::parse("1.0000000000000000000000000000000001e400").unwrap()), // numbers pass through unread
    ]
}

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_:@+=~-]{1,40}"
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000_000_i64..253_402_207_200_000).prop_map(Timestamp::from_millis)
}

fn millis() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn application() -> impl Strategy<Value = ApplicationFailure> {
    (text(), text(), any::<bool>(), of(millis()), of(payload()), vec(text(), 0..3)).prop_map(
        |(kind, message, non_retryable, retry_after, details, causes)| ApplicationFailure {
            kind,
            message,
            non_retryable,
            retry_after,
            // `null` details are none at all.
            details: details.filter(|details| !details.is_null()),
            causes,
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop::sample::select(vec![
        TimeoutKind::ScheduleToStart,
        TimeoutKind::StartToClose,
        TimeoutKind::ScheduleToClose,
        TimeoutKind::Heartbeat,
        TimeoutKind::Run,
    ]);
    prop_oneof![
        application().prop_map(Fault::Application),
        (kind, of(application())).prop_map(|(kind, cause)| Fault::TimedOut { kind, cause }),
        text().prop_map(|reason| Fault::Canceled { reason }),
        text().prop_map(|reason| Fault::Terminated { reason }),
    ]
}

fn blocked() -> impl Strategy<Value = Blocked> {
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

fn options() -> impl Strategy<Value = ActivityOptions> {
    let retry = (millis(), 1.0..10.0_f64, millis(), any::<u32>(), vec(text(), 0..3));
    (millis(), of(millis()), of(millis()), of(millis()), retry, any::<(bool, bool)>()).prop_map(
        |(
            start_to_close,
            schedule_to_close,
            schedule_to_start,
            heartbeat,
            retry,
            (exclusive, completes_later),
        )| {
            ActivityOptions {
                start_to_close,
                schedule_to_close,
                schedule_to_start,
                heartbeat,
                retry: RetryPolicy {
                    initial_interval: retry.0,
                    backoff_coefficient: retry.1,
                    maximum_interval: retry.2,
                    maximum_attempts: retry.3,
                    non_retryable_error_types: retry.4,
                },
                exclusive,
                completes_later,
            }
        },
    )
}

fn token() -> impl Strategy<Value = CompletionToken> {
    (workflow_id(), run_id(), any::<u64>(), any::<u32>(), "[0-9a-f]{32}").prop_map(
        |(workflow_id, run_id, activity_id, attempt, secret)| CompletionToken {
            workflow_id,
            run_id,
            activity_id,
            attempt,
            secret,
        },
    )
}

fn request() -> impl Strategy<Value = RequestId> {
    id().prop_map(|id| RequestId::new(id).unwrap())
}

/// A request of somebody outside.
fn outside() -> impl Strategy<Value = RequestId> {
    request().prop_filter("what runs ask is marked", |id| !id.is_own())
}

fn run_id() -> impl Strategy<Value = RunId> {
    any::<u128>().prop_map(RunId::from_random)
}

fn workflow_id() -> impl Strategy<Value = WorkflowId> {
    id().prop_map(|id| WorkflowId::new(id).unwrap())
}

fn parent() -> impl Strategy<Value = Parent> {
    (workflow_id(), run_id(), any::<u64>()).prop_map(|(workflow_id, run_id, child_id)| Parent {
        workflow_id,
        run_id,
        child_id,
    })
}

fn child_options() -> impl Strategy<Value = ChildOptions> {
    let policy =
        prop::sample::select(vec![ParentClose::Terminate, ParentClose::Cancel, ParentClose::Abandon]);
    let reuse = prop::sample::select(vec![
        IdReuse::AllowDuplicate,
        IdReuse::AllowDuplicateFailedOnly,
        IdReuse::RejectDuplicate,
    ]);
    (policy, reuse, of(millis()), of(millis()), of(payload()), of(payload())).prop_map(
        |(parent_close, id_reuse, execution_timeout, run_timeout, memo, attributes)| {
            let (memo, attributes) = (present(memo), present(attributes));
            ChildOptions { parent_close, id_reuse, execution_timeout, run_timeout, memo, attributes }
        },
    )
}

fn unread() -> impl Strategy<Value = Unread> {
    let message = || {
        let one = (text(), payload(), request());
        vec(one.prop_map(|(name, input, request_id)| UnreadMessage { name, input, request_id }), 0..3)
    };
    (message(), message(), text()).prop_map(|(signals, updates, reason)| {
        let request_id = RequestId::new("stop").unwrap();
        Unread { signals, updates, cancel: Some(CancelRequested { reason, request_id }) }
    })
}

fn headers() -> impl Strategy<Value = Headers> {
    btree_map("[A-Za-z0-9_.-]{1,9}", "[^\\p{Cc}]{0,9}", 0..4)
}

fn forked_from() -> impl Strategy<Value = ForkedFrom> {
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

fn started() -> impl Strategy<Value = RunStarted> {
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

fn result() -> impl Strategy<Value = OutcomeResult> {
    prop_oneof![payload().prop_map(OutcomeResult::Completed), fault().prop_map(OutcomeResult::Failed)]
}

fn how() -> impl Strategy<Value = StopChild> {
    prop_oneof![Just(StopChild::Cancel), Just(StopChild::Terminate)]
}

fn workflow() -> impl Strategy<Value = WorkflowType> {
    id().prop_map(|id| WorkflowType::new(id).unwrap())
}

fn present(payload: Option<Payload>) -> Option<Payload> {
    payload.filter(|payload| !payload.is_null())
}

fn kind() -> impl Strategy<Value = EventKind> {
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
fn held() -> impl Strategy<Value = EventKind> {
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

fn effect() -> impl Strategy<Value = Effect> {
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

fn guard() -> impl Strategy<Value = Identity> {
    let earlier = (run_id(), plain_guard());
    prop_oneof![
        4 => plain_guard(),
        1 => earlier.prop_map(|(run_id, guard)| Identity::Earlier(run_id, Box::new(guard))),
    ]
}

fn plain_guard() -> impl Strategy<Value = Identity> {
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
    fn run()(
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

fn outcome() -> impl Strategy<Value = ActivityOutcome> {
    (any::<u64>(), any::<u32>(), any::<u32>(), result()).prop_map(
        |(activity_id, attempt, receive_count, result)| ActivityOutcome {
            activity_id,
            attempt,
            receive_count,
            result,
        },
    )
}

fn lines(events: Vec<Event>) -> Vec<Line> {
    events.into_iter().map(Line::from).collect()
}

proptest! {
    #[test]
    fn large_payloads(kind in kind(), above in 0..40_usize) {
        let event = Event { n: 1, t: Timestamp::from_millis(0), kind };
        let mut line = String::new();
        let large = history::encode_above(&event, above, &mut line);
        let read = Line::read(line.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(read.stored().len(), large.len());
        let get = |reference: &Reference| {
            large.iter().find(|(of, _)| of == reference).and_then(|(_, payload)| reference.verify(payload.as_str().as_bytes()).ok())
        };
        prop_assert_eq!(read.filled(get), Ok(event));
    }

    #[test]
    fn no_payload_is_forgotten(kind in kind()) {
        marked::places(&Event { n: 1, t: Timestamp::from_millis(0), kind });
    }

    #[test]
    fn events(n in any::<u64>(), t in time(), kind in kind()) {
        let event = Event { n, t, kind };
        let mut line = String::new();
        history::encode_event(&event, &mut line);
        prop_assert_eq!(line.matches('\n').count(), 1);
        let prefix = format!(r#"{{"n":{n},"t":"{t}","type":"{}""#, event.kind.name());
        prop_assert!(line.starts_with(&prefix), "{}", line);
        prop_assert_eq!(history::decode_event(line.trim_end_matches('\n')), Ok(event));
    }

    #[test]
    fn heads(mut run in run(), kinds in vec(kind(), 0..8), nonce in text(), build in text()) {
        let events: Vec<_> = kinds.into_iter().zip(1..).map(|(kind, n)| Event { n, t: run.last_time, kind }).collect();
        let mut tail = Tail::empty();
        tail.push(&events);
        run.last_event = events.len() as u64;
        let header = Header::of(&run, Commit { nonce: &nonce, build: &build }, &tail);
        let body = history::encode(&header, &tail.text).unwrap();
        let head = Head::decode("k", &body).unwrap();
        prop_assert_eq!(history::encode(&head.header, &head.tail.text).unwrap(), body);
        prop_assert_eq!((head.header, head.lines), (header, lines(events)));
    }

    #[test]
    fn parts(kinds in vec(kind(), 1..8), first in 1..u64::MAX / 2) {
        let events: Vec<_> = kinds.into_iter().zip(first..).map(|(kind, n)| Event { n, t: Timestamp::from_millis(0), kind }).collect();
        let mut tail = Tail::empty();
        tail.first = first;
        tail.push(&events);
        let last = first + events.len() as u64 - 1;
        while tail.text.len() < history::SEAL_AT {
            // Long enough to be sealed: the last event again, and the part ends before it.
            tail.push(&[Event { n: last + 1, t: Timestamp::from_millis(0), kind: RunCanceled { reason: "x".repeat(history::SEAL_AT), before_start: false }.into() }]);
        }
        let (part, bytes) = tail.seal(last + 1).unwrap().unwrap();
        let read = history::decode_part("k", part, &bytes).unwrap();
        prop_assert_eq!(&read[..events.len()], &lines(events.clone())[..]);
        prop_assert_eq!(tail.sealed(part).first, last + 2);
    }

    #[test]
    fn leases(holder in of(text()), epoch in any::<u64>(), (attempt, vanished) in any::<(u32, u32)>(), good_for_ms in any::<u64>(),
              details in of(payload()), cancel in of(text()), outcome in of(outcome())) {
        let lease = Lease {
            v: 1, holder, epoch, attempt, vanished, good_for_ms, details: present(details), cancel, outcome,
        };
        prop_assert_eq!(Lease::decode(&lease.encode()).unwrap(), lease);
    }

    #[test]
    fn timer_entries(due in time(), queue in text(), message in payload()) {
        let entry = TimerEntry { v: 1, due, queue, message };
        prop_assert_eq!(TimerEntry::decode(&entry.encode()).unwrap(), entry);
    }

    #[test]
    fn index_entries(run in run(), closed_at in of(time())) {
        let RunInfo { workflow_id, run_id, workflow, started_at, .. } = run.info;
        let entry = IndexEntry { workflow_id, run_id, workflow, status: Status::TimedOut, started_at, closed_at, attributes: Attributes::of_recorded(Payload::parse(r#"{"a":1.5,"b":true,"c":"x"}"#).ok().as_ref()) };
        prop_assert_eq!(IndexEntry::decode(&entry.encode()).unwrap(), entry);
    }

    #[test]
    fn outcome_messages(outcome in outcome(), run_id in any::<u128>()) {
        let (workflow_id, run_id) = (WorkflowId::new("w").unwrap(), Some(RunId::from_random(run_id)));
        let message = EventMessage { v: 1, namespace: Default::default(), workflow_id, run_id, report: Report::Outcome(outcome.clone()) };
        let read = message::read_event(&message::write(&message)).unwrap();
        prop_assert_eq!((read.run_id, read.message), (run_id, Message::Outcome(outcome)));
    }

    #[test]
    fn other_internal_messages(
        (workflow_id, run_id) in (workflow_id(), of(run_id())), n in any::<u64>(), (name, input) in (text(), payload()),
        request_id in request(), result in result(), (workflow, options, parent) in (workflow(), child_options(), parent()), how in how(), headers in headers(),
    ) {
        let child = StartChild { workflow: workflow.clone(), input: input.clone(), options: options.clone(), parent: parent.clone(), headers: headers.clone() };
        let stop = Stop { workflow: workflow.clone(), parent: parent.clone(), how, reason: name.clone() };
        let start = Start {
            workflow, input: input.clone(), request_id: parent.start_request(), id_reuse: options.id_reuse,
            id_conflict: IdConflict::Fail, run_timeout: options.run_timeout, execution_timeout: options.execution_timeout,
            delay: None, memo: options.memo, attributes: options.attributes, headers, signal: None, update: None, parent: Some(parent),
        };
        for (report, message) in [
            (Report::Timer { timer_id: n }, Message::Timer { timer_id: n }),
            (Report::Wake { wake: n }, Message::Wake { wake: n }),
            (
                Report::ChildOutcome { child_id: n, result: result.clone() },
                Message::ChildOutcome { child_id: n, result },
            ),
            (Report::StartChild(Box::new(child)), Message::Start(Box::new(start))),
            (Report::StopChild(Box::new(stop.clone())), Message::Stop(Box::new(stop))),
            (
                Report::Signal { name: name.clone(), input: input.clone(), request_id: request_id.clone() },
                Message::Signal { name: name.clone(), input, request_id: request_id.clone(), after: None },
            ),
            (
                Report::Cancel { reason: name.clone(), request_id: request_id.clone() },
                Message::Cancel { reason: name, request_id },
            ),
        ] {
            let written = EventMessage { v: 1, namespace: Namespace::new("prod").unwrap(), workflow_id: workflow_id.clone(), run_id, report };
            let read = message::read_event(&message::write(&written)).unwrap();
            prop_assert_eq!(read.namespace.as_str(), "prod");
            prop_assert_eq!((read.workflow_id, read.run_id, read.message), (workflow_id.clone(), run_id, message));
        }
    }

    #[test]
    fn tasks(kind in kind(), run_id in any::<u128>(), attempt in any::<u32>(), at in time(), input in payload(), options in options(), token in of(token()), headers in headers()) {
        let task = Task {
            v: 1,
            namespace: Default::default(), workflow_id: WorkflowId::new("w").unwrap(), run_id: RunId::from_random(run_id),
            workflow: WorkflowType::new("W").unwrap(), activity_id: 1, activity: kind.describe(),
            task_queue: TaskQueue::new("cpu").unwrap(), attempt, input, scheduled_at: at, available_at: at, options, token, headers,
        };
        prop_assert_eq!(message::read_task(&message::write(&task)).unwrap(), task);
    }

    #[test]
    fn completions(
        token in token(), result in payload(), failure in application(), request_id in of(outside()),
        namespace in of("[a-z]{1,9}"),
    ) {
        // A workflow id may contain dots, like the token's own.
        let token = CompletionToken { workflow_id: format!("{}.a.b", token.workflow_id).parse().unwrap(), ..token };
        prop_assert_eq!(token.to_string().parse::<CompletionToken>(), Ok(token.clone()));
        let namespace = namespace.map(|name| Namespace::new(name).unwrap());
        let complete = InboxMessage::Complete(CompleteMessage {
            kind: Default::default(), v: None, namespace: namespace.clone(), request_id: request_id.clone(),
            token: token.clone(), result: result.clone(),
        });
        let fail = InboxMessage::Fail(FailMessage {
            kind: Default::default(), v: Some(1), namespace: namespace.clone(), request_id, token: token.clone(), failure: failure.clone(),
        });
        let failed = OutcomeResult::Failed(Fault::Application(failure));
        for (written, result) in [(complete, OutcomeResult::Completed(result)), (fail, failed)] {
            let read = message::read_inbox(&message::write(&written), "m").unwrap();
            let (activity_id, attempt, secret) = (token.activity_id, token.attempt, token.secret.clone());
            let outcome = ActivityOutcome { activity_id, attempt, receive_count: 1, result };
            prop_assert_eq!(read.message, Message::Completion { secret, outcome });
            prop_assert_eq!((&read.workflow_id, read.run_id), (&token.workflow_id, Some(token.run_id)));
            prop_assert_eq!(read.namespace, namespace.clone().unwrap_or_default());
        }
    }

    #[test]
    fn inbox_messages(input in payload(), name in "[^\\x00]{1,9}", reason in text(), request_id in outside(), memo in of(payload()), id in "[a-z]{1,9}", headers in headers()) {
        let id = WorkflowId::new(id).unwrap();
        let base = (Some(1), None, None, Some(request_id.clone()));
        let start = StartMessage {
            kind: Default::default(), v: base.0, id: id.clone(), run_id: base.1, namespace: base.2, request_id: base.3.clone(),
            workflow: WorkflowType::new("W").unwrap(), input: input.clone(), id_reuse: IdReuse::RejectDuplicate,
            id_conflict: IdConflict::UseExisting, execution_timeout_s: Some(2.5), run_timeout_s: Some(1.25),
            memo: present(memo), attributes: None, headers: headers.clone(), start_delay_s: Some(0.5), update: None,
            signal: Some(WithStart { name: name.clone(), input: input.clone() }),
        };
        let asking = StartMessage { update: start.signal.clone(), signal: None, ..start.clone() };
        let read = message::read_inbox(&message::write(&InboxMessage::Start(asking)), "m").unwrap();
        let Message::Start(asking) = read.message else { panic!("a start") };
        prop_assert_eq!((&asking.update, &asking.signal), (&start.signal, &None));
        let read = message::read_inbox(&message::write(&InboxMessage::Start(start.clone())), "m").unwrap();
        let expected = Start {
            workflow: start.workflow, input: input.clone(), request_id: request_id.clone(), id_reuse: start.id_reuse,
            id_conflict: start.id_conflict, run_timeout: Some(Duration::from_millis(1_250)), memo: start.memo,
            attributes: None, headers, signal: start.signal, update: None, parent: None,
            execution_timeout: Some(Duration::from_millis(2_500)), delay: Some(Duration::from_millis(500)),
        };
        prop_assert_eq!((read.workflow_id, read.message), (id.clone(), Message::Start(Box::new(expected))));
        let stop = StopMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3.clone(), reason: reason.clone() };
        let asked = SignalMessage { request_id: base.3.clone(), ..SignalMessage::new(id.clone(), name.clone(), input.clone(), None) };
        let after = RequestId::new(format!("{request_id}-")).ok();
        let ordered = SignalMessage { after: after.clone(), ..asked.clone() };
        for (written, expected) in [
            (InboxMessage::Update(asked), Message::Update { name: name.clone(), input: input.clone(), request_id: request_id.clone() }),
            (InboxMessage::Cancel(stop.clone()), Message::Cancel { reason: reason.clone(), request_id: request_id.clone() }),
            (InboxMessage::Terminate(stop), Message::Terminate { reason, request_id: request_id.clone() }),
            (
                InboxMessage::Signal(ordered),
                Message::Signal { name: name.clone(), input: input.clone(), request_id: request_id.clone(), after },
            ),
            (
                InboxMessage::Signal(SignalMessage { request_id: base.3.clone(), ..SignalMessage::new(id.clone(), name.clone(), input.clone(), None) }),
                Message::Signal { name, input, request_id: request_id.clone(), after: None },
            ),
            (
                InboxMessage::Resume(ResumeMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3 }),
                Message::Resume { request_id },
            ),
        ] {
            prop_assert_eq!(message::read_inbox(&message::write(&written), "m").unwrap().message, expected);
        }
    }

    #[test]
    fn messages_that_intervene(
        (id, from) in (workflow_id(), workflow_id()), (run, from_run_id) in (run_id(), of(run_id())), request_id in of(outside()),
        (activity_id, maybe, event) in (any::<u64>(), of(any::<u64>()), any::<u64>()), reason in text(), reapply in any::<bool>(),
    ) {
        prop_assume!(id != from);
        let sent = request_id.clone().unwrap_or_else(|| RequestId::new("m").unwrap());
        let fork = |source: &WorkflowId, source_run, replaces| Message::Fork(Box::new(Fork {
            source: source.clone(), source_run, event, reapply, replaces, reason: reason.clone(), request_id: sent.clone(),
            log: Err("from: the source was not read".into()),
            replaced: None,
        }));
        let pause = PauseMessage { request_id: request_id.clone(), ..PauseMessage::new(id.clone(), maybe, reason.clone()) };
        let unpause = UnpauseMessage { request_id: request_id.clone(), ..UnpauseMessage::new(id.clone(), maybe) };
        let retry = RetryMessage { request_id: request_id.clone(), ..RetryMessage::new(id.clone(), activity_id) };
        let reset = ResetMessage { request_id: request_id.clone(), ..ResetMessage::new(id.clone(), event, reason.clone(), reapply) };
        let forked = ForkMessage { request_id, ..ForkMessage::new(id.clone(), from.clone(), from_run_id, event, reason.clone(), reapply) };
        for (written, run_id, expected) in [
            (InboxMessage::Pause(pause.of_run(Some(run))), Some(run), Message::Pause { activity_id: maybe, reason: reason.clone(), request_id: sent.clone() }),
            (InboxMessage::Unpause(unpause), None, Message::Unpause { activity_id: maybe, request_id: sent.clone() }),
            (InboxMessage::Retry(retry), None, Message::Retry { activity_id, request_id: sent.clone() }),
            // Whatever run is open is replaced: the one that is named is where the events come from.
            (InboxMessage::Reset(reset.of_run(Some(run))), None, fork(&id, Some(run), true)),
            (InboxMessage::Fork(forked), None, fork(&from, from_run_id, false)),
        ] {
            let body = message::write(&written);
            let read = message::read_inbox(&body, "m").unwrap();
            prop_assert_eq!((&read.workflow_id, read.run_id, read.message), (&id, run_id, expected));
            prop_assert_eq!(message::read_request(&body).unwrap(), written);
        }
    }
}
