//! Whatever is written is read again: events, headers, parts, leases, timer and index entries, messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use millrace_core::*;
use millrace_format::history::{self, Commit, Tail};
use millrace_format::message::{
    self, EventMessage, InboxMessage, Report, ResumeMessage, SignalMessage, StartMessage, StopMessage,
};
use millrace_format::{Head, Header, IndexEntry, Lease, TimerEntry};
use proptest::collection::vec;
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
        (any::<u32>(), millis(), time()).prop_map(|(turns, within, until)| Blocked::Runaway {
            turns,
            within,
            until
        }),
    ]
}

fn options() -> impl Strategy<Value = ActivityOptions> {
    let retry = (millis(), 1.0..10.0_f64, millis(), any::<u32>(), vec(text(), 0..3));
    (millis(), of(millis()), of(millis()), of(millis()), retry, any::<bool>()).prop_map(
        |(start_to_close, schedule_to_close, schedule_to_start, heartbeat, retry, exclusive)| {
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
            }
        },
    )
}

fn request() -> impl Strategy<Value = RequestId> {
    id().prop_map(|id| RequestId::new(id).unwrap())
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
        (workflow(), payload(), request(), of(millis()), of(payload()), of(payload())).prop_map(
            |(workflow, input, request_id, run_timeout, memo, attributes)| {
                let (memo, attributes) = (present(memo), present(attributes));
                RunStarted { workflow, input, request_id, run_timeout, memo, attributes }.into()
            }
        ),
        payload().prop_map(|result| RunCompleted { result }.into()),
        fault().prop_map(|fault| RunFailed { fault }.into()),
        millis().prop_map(|limit| RunTimedOut { limit }.into()),
        text().prop_map(|reason| RunCanceled { reason }.into()),
        (text(), of(request())).prop_map(|(reason, request_id)| RunTerminated { reason, request_id }.into()),
        (blocked(), text()).prop_map(|(reason, build)| RunBlocked { reason, build }.into()),
        (any::<u64>(), text(), queue, payload(), options()).prop_map(
            |(activity_id, activity, task_queue, input, options)| {
                ActivityScheduled { activity_id, activity, task_queue, input, options }.into()
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
        any::<u64>().prop_map(|activity_id| ActivityCancelRequested { activity_id }.into()),
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
    ]
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
        Just(Effect::IndexOpen),
        Just(Effect::IndexClosed),
    ]
}

fn guard() -> impl Strategy<Value = Identity> {
    prop_oneof![
        request().prop_map(Identity::Request),
        (any::<u64>(), any::<u32>()).prop_map(|(activity, attempt)| Identity::Activity(activity, attempt)),
        any::<u64>().prop_map(Identity::Timer),
        any::<u64>().prop_map(Identity::Wake),
    ]
}

prop_compose! {
    /// A run with a header as full as can be.
    fn run()(
        (info, now) in (workflow(), any::<u128>(), time()).prop_map(|(workflow, run_id, started_at)| (RunInfo {
            workflow_id: WorkflowId::new("w-1").unwrap(), run_id: RunId::from_random(run_id), workflow, started_at,
        }, started_at)),
        effects in vec((guard(), effect()), 0..5),
        (wake, sent, absorbed) in (of((any::<u64>(), time())), any::<u64>(), any::<u64>()),
        mark in of((blocked(), text(), time())),
        pace in of((time(), any::<u32>())),
        published in of(payload()),
        carried in vec((request(), any::<u128>(), time()), 0..4),
        turn in any::<u64>(),
    ) -> Run {
        let mut run = Run::new(info);
        run.last_time = now;
        run.turn = turn;
        run.effects = effects.into_iter().map(|(guard, effect)| (effect.key(), PendingEffect { guard, effect })).collect();
        run.wake = wake.map(|(wake, at)| Wake { wake, at });
        (run.wakes_sent, run.wakes_absorbed) = (sent, absorbed);
        run.blocked = mark.map(|(reason, build, since)| BlockedMark { reason, build, since });
        run.pace = pace.map(|(since, turns)| Pace { since, turns });
        run.published = present(published);
        run.carried = carried.into_iter().map(|(request_id, run_id, at)| CarriedRequest {
            request_id, run_id: RunId::from_random(run_id), at,
        }).collect();
        run
    }
}

fn outcome() -> impl Strategy<Value = ActivityOutcome> {
    let result =
        prop_oneof![payload().prop_map(OutcomeResult::Completed), fault().prop_map(OutcomeResult::Failed)];
    (any::<u64>(), any::<u32>(), any::<u32>(), result).prop_map(
        |(activity_id, attempt, receive_count, result)| ActivityOutcome {
            activity_id,
            attempt,
            receive_count,
            result,
        },
    )
}

proptest! {
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
        prop_assert_eq!((head.header, head.events), (header, events));
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
            tail.push(&[Event { n: last + 1, t: Timestamp::from_millis(0), kind: RunCanceled { reason: "x".repeat(history::SEAL_AT) }.into() }]);
        }
        let (part, bytes) = tail.seal(last + 1).unwrap().unwrap();
        let read = history::decode_part("k", part, &bytes).unwrap();
        prop_assert_eq!(&read[..events.len()], &events[..]);
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
        let RunInfo { workflow_id, run_id, workflow, started_at } = run.info;
        let entry = IndexEntry { workflow_id, run_id, workflow, status: Status::TimedOut, started_at, closed_at };
        prop_assert_eq!(IndexEntry::decode(&entry.encode()).unwrap(), entry);
    }

    #[test]
    fn outcome_messages(outcome in outcome(), run_id in any::<u128>()) {
        let (workflow_id, run_id) = (WorkflowId::new("w").unwrap(), RunId::from_random(run_id));
        let message = EventMessage { v: 1, namespace: Default::default(), workflow_id, run_id, report: Report::Outcome(outcome.clone()) };
        let read = message::read_event(&message::write(&message)).unwrap();
        prop_assert_eq!((read.run_id, read.message), (Some(run_id), Message::Outcome(outcome)));
    }

    #[test]
    fn tasks(kind in kind(), run_id in any::<u128>(), attempt in any::<u32>(), at in time(), input in payload(), options in options()) {
        let task = Task {
            v: 1,
            namespace: Default::default(), workflow_id: WorkflowId::new("w").unwrap(), run_id: RunId::from_random(run_id),
            workflow: WorkflowType::new("W").unwrap(), activity_id: 1, activity: kind.describe(),
            task_queue: TaskQueue::new("cpu").unwrap(), attempt, input, scheduled_at: at, available_at: at, options,
        };
        prop_assert_eq!(message::read_task(&message::write(&task)).unwrap(), task);
    }

    #[test]
    fn inbox_messages(input in payload(), name in "[^\\x00]{1,9}", reason in text(), request_id in request(), memo in of(payload()), id in "[a-z]{1,9}") {
        let id = WorkflowId::new(id).unwrap();
        let base = (Some(1), None, None, Some(request_id.clone()));
        let start = StartMessage {
            kind: Default::default(), v: base.0, id: id.clone(), run_id: base.1, namespace: base.2, request_id: base.3.clone(),
            workflow: WorkflowType::new("W").unwrap(), input: input.clone(), id_reuse: IdReuse::RejectDuplicate,
            id_conflict: IdConflict::UseExisting, execution_timeout_s: Some(2.5), run_timeout_s: Some(1.25),
            memo: present(memo), attributes: None, signal: Some(StartSignal { name: name.clone(), input: input.clone() }),
        };
        let read = message::read_inbox(&message::write(&InboxMessage::Start(start.clone())), "m").unwrap();
        let expected = Start {
            workflow: start.workflow, input: input.clone(), request_id: request_id.clone(), id_reuse: start.id_reuse,
            id_conflict: start.id_conflict, run_timeout: Some(Duration::from_millis(1_250)), memo: start.memo,
            attributes: None, signal: start.signal,
        };
        prop_assert_eq!((read.workflow_id, read.message), (id.clone(), Message::Start(Box::new(expected))));
        let stop = StopMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3.clone(), reason: reason.clone() };
        for (written, expected) in [
            (InboxMessage::Cancel(stop.clone()), Message::Cancel { reason: reason.clone(), request_id: request_id.clone() }),
            (InboxMessage::Terminate(stop), Message::Terminate { reason, request_id: request_id.clone() }),
            (
                InboxMessage::Signal(SignalMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3.clone(), name: name.clone(), input: input.clone() }),
                Message::Signal { name, input, request_id: request_id.clone() },
            ),
            (
                InboxMessage::Resume(ResumeMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3 }),
                Message::Resume { request_id },
            ),
        ] {
            prop_assert_eq!(message::read_inbox(&message::write(&written), "m").unwrap().message, expected);
        }
    }
}
