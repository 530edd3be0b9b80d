//! The JSON Schemas in `docs/schema/` say what the code does: every example and every message that our code writes
//! validates and is read; what the reader refuses does not validate, where a schema can say so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use millrace_core::{
    ActivityOptions, ActivityOutcome, ApplicationFailure, CompletionToken, Fault, Headers, IdConflict,
    IdReuse, OutcomeResult, Payload, RunId, Task, TaskQueue, TimeoutKind, Timestamp, WithStart, WorkflowId,
    WorkflowType,
};
use millrace_format::message::{
    self, CompleteMessage, EventMessage, FailMessage, ForkMessage, InboxMessage, PauseMessage, Report,
    ResetMessage, ResumeMessage, RetryMessage, SignalMessage, StartMessage, StopMessage, UnpauseMessage,
};
use serde_json::Value;

/// What has a schema: the messages of the inbox, and what functions and readers of histories meet.
fn all() -> impl Iterator<Item = &'static str> {
    let others = ["task", "outcome", "history-header", "history-event"];
    InboxMessage::TYPES.iter().copied().chain(others)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema")
}

fn schema(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(format!("{name}.schema.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn validator(name: &str) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema(name)).unwrap()
}

#[track_caller]
fn assert_valid(name: &str, text: &str) {
    let value = serde_json::from_str(text).unwrap();
    let errors: Vec<_> =
        validator(name).iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {text}\n{errors:#?}");
}

fn is_read(name: &str, text: &str) -> Result<(), String> {
    match name {
        "task" => message::read_task(text).map(drop).map_err(|e| e.to_string()),
        "outcome" => message::read_event(text).map(drop).map_err(|e| e.to_string()),
        "history-event" => millrace_format::history::decode_event(text).map(drop),
        "history-header" => {
            serde_json::from_str::<millrace_format::Header>(text).map(drop).map_err(|e| e.to_string())
        }
        _ => message::read_inbox(text, "m-1").map(drop).map_err(|e| e.to_string()),
    }
}

#[test]
fn every_schema_is_one_and_is_known_to_this_test() {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.retain(|file| file.ends_with(".schema.json"));
    files.sort();
    let mut known: Vec<_> = all().map(|name| format!("{name}.schema.json")).collect();
    known.sort();
    assert_eq!(files, known);
    for name in all() {
        let schema = schema(name);
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        assert!(schema["description"].is_string(), "{name}");
        let properties = schema["properties"].as_object().unwrap();
        assert!(properties.values().all(|property| property["description"].is_string()), "{name}");
    }
}

#[test]
fn every_example_validates_and_is_read() {
    for name in all() {
        let schema = schema(name);
        let examples = schema["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            assert_valid(name, &example.to_string());
            is_read(name, &example.to_string()).unwrap_or_else(|e| panic!("{name}: {example}: {e}"));
        }
    }
}

fn stop(full: bool) -> StopMessage {
    StopMessage {
        kind: Default::default(),
        v: full.then_some(1),
        id: WorkflowId::new("digits-42").unwrap(),
        run_id: full.then(|| RunId::from_random(7)),
        namespace: full.then(Default::default),
        request_id: full.then(|| "r-1".parse().unwrap()),
        reason: "superseded".into(),
    }
}

fn start(id_reuse: IdReuse, id_conflict: IdConflict, full: bool) -> InboxMessage {
    let StopMessage { kind, v, id, namespace, request_id, .. } = stop(full);
    let any = || Payload::parse("{\"x\":[1,null]}").unwrap();
    InboxMessage::Start(StartMessage {
        kind,
        v,
        id,
        run_id: None,
        namespace,
        request_id,
        workflow: WorkflowType::new("TrainTestDeploy").unwrap(),
        input: any(),
        id_reuse,
        id_conflict,
        execution_timeout_s: full.then_some(0.001),
        run_timeout_s: full.then_some(1e9),
        memo: full.then(any),
        attributes: full.then(|| Payload::parse(r#"{"customer":"ann","priority":3,"vip":true}"#).unwrap()),
        headers: headers(full),
        start_delay_s: full.then_some(0.001),
        signal: full.then(|| WithStart { name: "approve".into(), input: any() }),
        update: None,
    })
}

fn headers(full: bool) -> Headers {
    let all =
        [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("X-Tenant_1.b", "ß €")];
    all.into_iter().filter(|_| full).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn failure(full: bool) -> ApplicationFailure {
    let failure = ApplicationFailure::new("Boom", "x");
    if !full {
        return failure;
    }
    ApplicationFailure { causes: vec!["below".into()], ..failure }
        .non_retryable()
        .retry_after(std::time::Duration::from_secs(3))
        .details(&[1, 2])
}

fn token() -> CompletionToken {
    CompletionToken {
        workflow_id: WorkflowId::new("a.b@c:d").unwrap(),
        run_id: RunId::from_random(7),
        activity_id: u64::MAX,
        attempt: u32::MAX,
        secret: format!("{:032x}", 7),
    }
}

/// The same start, with an update in the place of its signal.
fn asking(start: InboxMessage) -> InboxMessage {
    match start {
        InboxMessage::Start(start) => {
            InboxMessage::Start(StartMessage { update: start.signal.clone(), signal: None, ..start })
        }
        other => other,
    }
}

#[test]
fn every_message_that_a_client_writes_validates() {
    for full in [false, true] {
        for id_reuse in [IdReuse::AllowDuplicate, IdReuse::AllowDuplicateFailedOnly, IdReuse::RejectDuplicate]
        {
            for id_conflict in [IdConflict::Fail, IdConflict::UseExisting, IdConflict::TerminateExisting] {
                assert_valid("start", &message::write(&start(id_reuse, id_conflict, full)));
                assert_valid("start", &message::write(&asking(start(id_reuse, id_conflict, full))));
            }
        }
        let StopMessage { kind, v, id, run_id, namespace, request_id, .. } = stop(full);
        let (result, failure, token) = (Payload::null(), failure(full), token());
        let complete = CompleteMessage {
            kind,
            v,
            namespace: namespace.clone(),
            request_id: request_id.clone(),
            token: token.clone(),
            result,
        };
        let fail = FailMessage {
            kind,
            v,
            namespace: namespace.clone(),
            request_id: request_id.clone(),
            token,
            failure,
        };
        assert_valid("complete", &message::write(&InboxMessage::Complete(complete)));
        assert_valid("fail", &message::write(&InboxMessage::Fail(fail)));
        let (name, input) = ("approve".to_owned(), Payload::null());
        let resume = ResumeMessage {
            kind,
            v,
            id: id.clone(),
            run_id,
            namespace: namespace.clone(),
            request_id: request_id.clone(),
        };
        let after = full.then(|| "r-0".parse().unwrap());
        let signal = SignalMessage { kind, v, id, run_id, namespace, request_id, name, input, after: None };
        assert_valid("update", &message::write(&InboxMessage::Update(signal.clone())));
        assert_valid("signal", &message::write(&InboxMessage::Signal(SignalMessage { after, ..signal })));
        assert_valid("resume", &message::write(&InboxMessage::Resume(resume)));
        assert_valid("cancel", &message::write(&InboxMessage::Cancel(stop(full))));
        assert_valid("terminate", &message::write(&InboxMessage::Terminate(stop(full))));
    }
}

#[test]
fn every_message_that_intervenes_validates() {
    let (id, from) = (WorkflowId::new("digits-42").unwrap(), WorkflowId::new("digits-41").unwrap());
    for full in [false, true] {
        let (activity, run) = (full.then_some(u64::MAX), Some(RunId::from_random(7)));
        let (reason, reapply) = (String::new(), full);
        let pause = PauseMessage::new(id.clone(), activity, reason.clone()).of_run(run);
        let unpause = UnpauseMessage { v: full.then_some(1), ..UnpauseMessage::new(id.clone(), activity) };
        let reset = ResetMessage::new(id.clone(), 1, reason.clone(), reapply).of_run(run);
        let from_run = run.filter(|_| full);
        let fork = ForkMessage::new(id.clone(), from.clone(), from_run, u64::MAX, reason, reapply);
        assert_valid("pause", &message::write(&InboxMessage::Pause(pause)));
        assert_valid("unpause", &message::write(&InboxMessage::Unpause(unpause)));
        assert_valid("retry", &message::write(&InboxMessage::Retry(RetryMessage::new(id.clone(), 0))));
        assert_valid("reset", &message::write(&InboxMessage::Reset(reset)));
        assert_valid("fork", &message::write(&InboxMessage::Fork(fork)));
    }
}

/// What a schema cannot say: fields that contradict one another.
#[test]
fn fields_that_contradict_one_another_are_refused_with_a_reason() {
    for (text, field) in [
        (r#"{"type":"signal","id":"a","name":"x","request_id":"r","after":"r"}"#, "after: "),
        (r#"{"type":"fork","id":"a","from":"a","event":1}"#, "from: "),
    ] {
        let error = is_read("signal", text).unwrap_err();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn every_task_and_outcome_validates() {
    let second = Some(std::time::Duration::from_secs(1));
    let options = ActivityOptions {
        schedule_to_close: second,
        schedule_to_start: second,
        heartbeat: second,
        exclusive: true,
        completes_later: true,
        ..ActivityOptions::default()
    };
    for options in [ActivityOptions::default(), options] {
        let token = options.completes_later.then(token);
        assert_valid(
            "task",
            &message::write(&Task {
                v: 1,
                namespace: Default::default(),
                workflow_id: WorkflowId::new("a@b:c").unwrap(),
                run_id: RunId::from_random(7),
                workflow: WorkflowType::new("W").unwrap(),
                activity_id: u64::MAX,
                activity: "train the model".into(),
                task_queue: TaskQueue::new("gpu").unwrap(),
                attempt: u32::MAX,
                input: Payload::null(),
                scheduled_at: Timestamp::from_millis(0),
                available_at: Timestamp::from_millis(i64::MAX),
                options,
                token,
                headers: headers(true),
            }),
        );
    }
    let full = failure(true);
    for result in [
        OutcomeResult::Completed(Payload::null()),
        OutcomeResult::Failed(Fault::Application(full.clone())),
        OutcomeResult::Failed(Fault::TimedOut { kind: TimeoutKind::Heartbeat, cause: Some(full) }),
        OutcomeResult::Failed(Fault::TimedOut { kind: TimeoutKind::StartToClose, cause: None }),
        OutcomeResult::Failed(Fault::Canceled { reason: String::new() }),
        OutcomeResult::Failed(Fault::Terminated { reason: "x".into() }),
    ] {
        let outcome = ActivityOutcome { activity_id: 1, attempt: 1, receive_count: 1, result };
        let (workflow_id, run_id) = (WorkflowId::new("w").unwrap(), RunId::from_random(7));
        let message = EventMessage {
            v: 1,
            namespace: Default::default(),
            workflow_id,
            run_id: Some(run_id),
            report: Report::Outcome(outcome),
        };
        assert_valid("outcome", &message::write(&message));
    }
}

#[test]
fn every_recorded_history_validates() {
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/v1")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            let text = std::fs::read_to_string(path).unwrap();
            let mut lines = text.lines();
            assert_valid("history-header", lines.next().unwrap());
            lines.for_each(|line| assert_valid("history-event", line));
        }
    }
}

/// Refused by the reader, and by the schema of the type that the message claims to be.
#[test]
fn what_the_reader_refuses_does_not_validate() {
    let long = format!(r#"{{"type":"resume","id":"{}"}}"#, "x".repeat(201));
    let headers: Headers = (0..33).map(|n| (format!("h{n}"), String::new())).collect();
    let headers = message::write(&headers);
    let many = format!(r#"{{"type":"start","workflow":"W","id":"a","headers":{headers}}}"#);
    for (name, text) in [
        ("start", r#"{"type":"start","workflow":"W"}"#),
        ("start", r#"{"type":"start","id":"a"}"#),
        ("start", r#"{"workflow":"W","id":"a"}"#),
        ("start", r#"{"type":"strat","workflow":"W","id":"a"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":7}"#),
        ("start", r#"{"type":"start","workflow":"W","id":""}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"."}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a..b"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a/b"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a\n"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","inptu":1}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","v":2}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","id_reuse":"x"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","id_conflict":"x"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","run_timeout_s":-1}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","run_timeout_s":0}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","run_timeout_s":null}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","run_timeout_s":1e300}"#),
        (
            "start",
            r#"{"type":"start","workflow":"W","id":"a","run_id":"0198c0de-0000-4000-8000-000000000007"}"#,
        ),
        ("start", r#"{"type":"start","workflow":"W","id":"a","namespace":"a.b"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","signal":{"input":1}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","signal":{"name":"x","inptu":1}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","start_delay_s":0}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","attributes":["x"]}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","attributes":{"x":[1]}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","attributes":{"x=y":1}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","request_id":"~child:x:1"}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","update":{"input":1}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","signal":{"name":"x"},"update":{"name":"x"}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","parent":{"workflow_id":"p"}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","headers":{"trace parent":"x"}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","headers":{"traceparent":"a\nb"}}"#),
        ("start", r#"{"type":"start","workflow":"W","id":"a","headers":{"traceparent":7}}"#),
        ("start", many.as_str()),
        ("start", r#"[]"#),
        ("update", r#"{"type":"update","id":"a"}"#),
        ("update", r#"{"type":"update","id":"a","name":""}"#),
        ("update", r#"{"type":"update","id":"a","name":"x","request_id":"~x"}"#),
        ("signal", r#"{"type":"signal","id":"a","name":"x","request_id":"~sent:x:1"}"#),
        ("cancel", r#"{"type":"cancel","id":"a","request_id":"~x"}"#),
        ("terminate", r#"{"type":"terminate","id":"a","request_id":"~x"}"#),
        ("resume", r#"{"type":"resume","id":"a","request_id":"~x"}"#),
        ("signal", r#"{"type":"signal","id":"a"}"#),
        ("signal", r#"{"type":"signal","id":"a","name":""}"#),
        ("signal", r#"{"type":"signal","id":"a","name":"x","run_id":"seven"}"#),
        ("cancel", r#"{"type":"cancel","id":"a","reason":{}}"#),
        ("cancel", r#"{"type":"cancel","id":"a","request_id":"x y"}"#),
        ("terminate", r#"{"type":"terminate"}"#),
        ("resume", r#"{"type":"resume","id":"a","reason":"x"}"#),
        ("resume", long.as_str()),
        ("signal", r#"{"type":"signal","id":"a","name":"x","after":""}"#),
        ("signal", r#"{"type":"signal","id":"a","name":"x","after":7}"#),
        ("update", r#"{"type":"update","id":"a","name":"x","after":"r"}"#),
        ("pause", r#"{"type":"pause"}"#),
        ("pause", r#"{"type":"pause","id":"a","activity":"charge"}"#),
        ("pause", r#"{"type":"pause","id":"a","activity_id":-1}"#),
        ("pause", r#"{"type":"pause","id":"a","request_id":"~x"}"#),
        ("unpause", r#"{"type":"unpause","id":"a","activity_id":"charge"}"#),
        ("unpause", r#"{"type":"unpause","id":"a","reason":"x"}"#),
        ("retry", r#"{"type":"retry","id":"a"}"#),
        ("retry", r#"{"type":"retry","id":"a","activity_id":1.5}"#),
        ("reset", r#"{"type":"reset","id":"a","run_id":"0198c0de-0000-4000-8000-000000000007"}"#),
        ("reset", r#"{"type":"reset","id":"a","event":3}"#),
        ("reset", r#"{"type":"reset","id":"a","run_id":"0198c0de-0000-4000-8000-000000000007","event":-1}"#),
        (
            "reset",
            r#"{"type":"reset","id":"a","run_id":"0198c0de-0000-4000-8000-000000000007","event":3,"reapply":"no"}"#,
        ),
        ("fork", r#"{"type":"fork","id":"a","event":3}"#),
        ("fork", r#"{"type":"fork","id":"a","from":"b"}"#),
        ("fork", r#"{"type":"fork","id":"a","from":"b/c","event":3}"#),
        ("fork", r#"{"type":"fork","id":"a","from":"b","event":3,"from_run_id":"seven"}"#),
        (
            "fork",
            r#"{"type":"fork","id":"a","from":"b","event":3,"run_id":"0198c0de-0000-4000-8000-000000000007"}"#,
        ),
        (
            "history-event",
            r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"ActivityUnpaused","activity_id":1,"request_id":"u"}"#,
        ),
        ("history-event", r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"RunPaused","reason":"x"}"#),
        ("complete", r#"{"type":"complete"}"#),
        ("complete", r#"{"type":"complete","token":"x"}"#),
        ("complete", r#"{"type":"complete","token":7}"#),
        ("complete", r#"{"type":"complete","token":"1.1.0198c0de-0000-4000-8000-000000000007.ab"}"#),
        (
            "complete",
            r#"{"type":"complete","token":"one.1.0198c0de-0000-4000-8000-000000000007.0123456789abcdef0123456789abcdef.w"}"#,
        ),
        (
            "complete",
            r#"{"type":"complete","token":"1.1.0198c0de-0000-4000-8000-000000000007.0123456789abcdef0123456789abcdef.a/b"}"#,
        ),
        (
            "complete",
            r#"{"type":"complete","id":"w","token":"1.1.0198c0de-0000-4000-8000-000000000007.0123456789abcdef0123456789abcdef.w"}"#,
        ),
        (
            "fail",
            r#"{"type":"fail","token":"1.1.0198c0de-0000-4000-8000-000000000007.0123456789abcdef0123456789abcdef.w"}"#,
        ),
        (
            "fail",
            r#"{"type":"fail","token":"1.1.0198c0de-0000-4000-8000-000000000007.0123456789abcdef0123456789abcdef.w","failure":{"type":"x"}}"#,
        ),
        ("outcome", r#"{"type":"outcome","workflow_id":"a"}"#),
        (
            "outcome",
            r#"{"type":"outcome","workflow_id":"w","run_id":"0198c0de-0000-4000-8000-000000000007","activity_id":-1,"attempt":1,"receive_count":1,"result":{"completed":1}}"#,
        ),
        (
            "outcome",
            r#"{"type":"outcome","workflow_id":"w","run_id":"0198c0de-0000-4000-8000-000000000007","activity_id":1,"attempt":4294967296,"receive_count":1,"result":{"completed":1}}"#,
        ),
        (
            "outcome",
            r#"{"type":"outcome","workflow_id":"w","run_id":"0198c0de-0000-4000-8000-000000000007","activity_id":1,"attempt":1,"receive_count":1,"result":{"vanished":1}}"#,
        ),
        (
            "outcome",
            r#"{"type":"outcome","workflow_id":"w","run_id":"0198c0de-0000-4000-8000-000000000007","activity_id":1,"attempt":1,"receive_count":1,"result":{"failed":{"application":{"type":"x"}}}}"#,
        ),
        ("task", r#"{"v":1}"#),
        ("history-event", r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"TimerFired"}"#),
        ("history-event", r#"{"n":1,"t":"soon","type":"TimerFired","timer_id":1}"#),
        ("history-event", r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"ChildCompleted"}"#),
        (
            "history-event",
            r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"RunContinuedAsNew","workflow":"W"}"#,
        ),
        (
            "history-event",
            r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"ChildScheduled","child_id":1,"workflow":"W","workflow_id":"a","options":{"parent_close":"forget"}}"#,
        ),
        (
            "history-event",
            r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"UpdateRejected","request_id":"u"}"#,
        ),
        (
            "history-event",
            r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"LocalActivityCompleted","activity_id":1,"attempts":1}"#,
        ),
        (
            "history-event",
            r#"{"n":1,"t":"2026-11-23T02:00:00.000Z","type":"ChildCancelRequested","child_id":1,"how":"ask"}"#,
        ),
        ("history-header", r#"{"format":1}"#),
    ] {
        assert!(is_read(name, text).is_err(), "the reader takes {text}");
        assert!(
            !validator(name).is_valid(&serde_json::from_str(text).unwrap()),
            "the schema {name} takes {text}"
        );
    }
}

#[test]
fn no_message_is_two() {
    for &name in InboxMessage::TYPES {
        let schema = schema(name);
        for example in schema["examples"].as_array().unwrap() {
            let takers: Vec<_> = all().filter(|other| validator(other).is_valid(example)).collect();
            assert_eq!(takers, [name], "{example}");
        }
    }
}
