//! Any value that is written: texts, ids, times, payloads, failures, options.

use std::time::Duration;

use millrace_core::*;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{0,12}", any::<String>(), Just("\u{2028}\"\\\n\r\0\u{7f}🦀".to_owned())]
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
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

pub(crate) fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_:@+=~-]{1,40}"
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000_000_i64..253_402_207_200_000).prop_map(Timestamp::from_millis)
}

pub(crate) fn millis() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

pub(crate) fn application() -> impl Strategy<Value = ApplicationFailure> {
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

pub(crate) fn fault() -> impl Strategy<Value = Fault> {
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

pub(crate) fn options() -> impl Strategy<Value = ActivityOptions> {
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

pub(crate) fn token() -> impl Strategy<Value = CompletionToken> {
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

pub(crate) fn request() -> impl Strategy<Value = RequestId> {
    id().prop_map(|id| RequestId::new(id).unwrap())
}

/// A request of somebody outside.
pub(crate) fn outside() -> impl Strategy<Value = RequestId> {
    request().prop_filter("what runs ask is marked", |id| !id.is_own())
}

pub(crate) fn run_id() -> impl Strategy<Value = RunId> {
    any::<u128>().prop_map(RunId::from_random)
}

pub(crate) fn workflow_id() -> impl Strategy<Value = WorkflowId> {
    id().prop_map(|id| WorkflowId::new(id).unwrap())
}

pub(crate) fn parent() -> impl Strategy<Value = Parent> {
    (workflow_id(), run_id(), any::<u64>()).prop_map(|(workflow_id, run_id, child_id)| Parent {
        workflow_id,
        run_id,
        child_id,
    })
}

pub(crate) fn child_options() -> impl Strategy<Value = ChildOptions> {
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

pub(crate) fn headers() -> impl Strategy<Value = Headers> {
    btree_map("[A-Za-z0-9_.-]{1,9}", "[^\\p{Cc}]{0,9}", 0..4)
}

pub(crate) fn result() -> impl Strategy<Value = OutcomeResult> {
    prop_oneof![payload().prop_map(OutcomeResult::Completed), fault().prop_map(OutcomeResult::Failed)]
}

pub(crate) fn workflow() -> impl Strategy<Value = WorkflowType> {
    id().prop_map(|id| WorkflowType::new(id).unwrap())
}

pub(crate) fn present(payload: Option<Payload>) -> Option<Payload> {
    payload.filter(|payload| !payload.is_null())
}

pub(crate) fn outcome() -> impl Strategy<Value = ActivityOutcome> {
    (any::<u64>(), any::<u32>(), any::<u32>(), result()).prop_map(
        |(activity_id, attempt, receive_count, result)| ActivityOutcome {
            activity_id,
            attempt,
            receive_count,
            result,
        },
    )
}
