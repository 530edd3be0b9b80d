use millrace_core::{ActivityOutcome, OutcomeResult, Payload};

use super::*;

fn error(body: &str) -> String {
    read_inbox(body, "m-1").unwrap_err().to_string()
}

#[test]
fn a_start_is_read_with_its_defaults() {
    let read = read_inbox(r#"{"type":"start","workflow":"W","id":"a","input":{"x":[1.0]}}"#, "m-1").unwrap();
    assert_eq!((read.namespace.as_str(), read.workflow_id.as_str(), read.run_id), ("default", "a", None));
    let Message::Start(start) = read.message else { panic!("a start") };
    assert_eq!((start.request_id.as_str(), start.input.as_str()), ("m-1", r#"{"x":[1.0]}"#));
}

/// JSON has none of them, and serde writes `null`.
#[test]
fn a_time_that_is_no_number_is_refused_and_not_taken_for_none() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for field in ["execution_timeout_s", "run_timeout_s", "start_delay_s"] {
            let (id, workflow) = ("a".parse().unwrap(), "W".parse().unwrap());
            let mut start = StartMessage::plain(id, workflow, Payload::null());
            *match field {
                "execution_timeout_s" => &mut start.execution_timeout_s,
                "run_timeout_s" => &mut start.run_timeout_s,
                _ => &mut start.start_delay_s,
            } = Some(wrong);
            let error = error(&write(&InboxMessage::Start(start)));
            assert!(error.starts_with(&format!("{field}: null is no number")), "{wrong}: {error}");
        }
    }
}

#[test]
fn bad_messages_name_the_field_and_what_to_do() {
    for (body, expected) in [
        ("plain text", "the message is not JSON"),
        ("{\"type\":\"start\"", "the message is not JSON"),
        ("[]", "type: "),
        (
            "{}",
            "type: is missing; use one of start, signal, update, cancel, terminate, resume, pause, unpause, retry, reset, fork, complete, fail",
        ),
        (r#"{"type":7}"#, "type: "),
        (r#"{"type":"strat"}"#, "type: `strat` is unknown; use one of"),
        (r#"{"type":"outcome","workflow_id":"a"}"#, "type: `outcome` is an internal message"),
        (r#"{"type":"start","workflow":"W"}"#, "missing field `id`"),
        (r#"{"type":"start","workflow":"W","id":7}"#, "id: invalid type: integer `7`"),
        (r#"{"type":"start","workflow":"W","id":""}"#, "id: the workflow id is empty"),
        (r#"{"type":"start","workflow":"W","id":"a/b"}"#, "id: the workflow id contains '/'"),
        (r#"{"type":"start","workflow":"W","id":"a","run_timeout_s":-1}"#, "run_timeout_s: -1 is not a time"),
        (r#"{"type":"start","workflow":"W","id":"a","id_reuse":"x"}"#, "id_reuse: unknown variant `x`"),
        (r#"{"type":"start","workflow":"W","id":"a","inptu":1}"#, "unknown field `inptu`"),
        (r#"{"type":"start","workflow":"W","id":"a","v":2}"#, "v: this build understands version 1"),
        (r#"{"type":"signal","id":"a"}"#, "missing field `name`"),
        (r#"{"type":"signal","id":"a","name":""}"#, "name: a signal needs a name"),
        (r#"{"type":"update","id":"a","name":""}"#, "name: an update needs a name"),
        (r#"{"type":"update","id":"a"}"#, "missing field `name`"),
        (
            r#"{"type":"update","id":"a","name":"x","request_id":"~sent:1"}"#,
            "request_id: `~sent:1` begins like those that runs make; use another",
        ),
        (r#"{"type":"start","workflow":"W","id":"a","request_id":"~"}"#, "request_id: `~` begins like"),
        (r#"{"type":"signal","id":"a","name":"x","request_id":"~a"}"#, "request_id: `~a` begins like"),
        (r#"{"type":"cancel","id":"a","request_id":"~a"}"#, "request_id: `~a` begins like"),
        (r#"{"type":"terminate","id":"a","request_id":"~a"}"#, "request_id: `~a` begins like"),
        (r#"{"type":"resume","id":"a","request_id":"~a"}"#, "request_id: `~a` begins like"),
        (
            r#"{"type":"start","workflow":"W","id":"a","signal":{"name":"x"},"update":{"name":"x"}}"#,
            "update: a start carries a signal or an update, not both",
        ),
        (r#"{"type":"start","workflow":"W","id":"a","update":{}}"#, "update: missing field `name`"),
        (
            r#"{"type":"start","workflow":"W","id":"a","run_timeout_s":null}"#,
            "run_timeout_s: null is no number of seconds",
        ),
        (r#"{"type":"start","workflow":"W","id":"a","start_delay_s":-1}"#, "start_delay_s: -1 is not a time"),
        (
            r#"{"type":"start","workflow":"W","id":"a","execution_timeout_s":0}"#,
            "execution_timeout_s: 0 is not a time",
        ),
        (r#"{"type":"start","workflow":"W","id":"a","headers":{"":"x"}}"#, "headers: `` is no name"),
        (r#"{"type":"start","workflow":"W","id":"a","headers":{"a":{}}}"#, "headers.a: invalid type: map"),
        (r#"{"type":"start","workflow":"W","id":"a","parent":{}}"#, "unknown field `parent`"),
        (r#"{"type":"complete"}"#, "missing field `token`"),
        (r#"{"type":"complete","token":"x"}"#, "token: it is not a completion token"),
        (r#"{"type":"complete","token":"x","resutl":1}"#, "it is not a completion token"),
        (r#"{"type":"fail","token":"x"}"#, "it is not a completion token"),
        (r#"{"type":"child_outcome","workflow_id":"a"}"#, "`child_outcome` is an internal message"),
        (r#"{"type":"start_child","workflow_id":"a"}"#, "`start_child` is an internal message"),
        (r#"{"type":"stop_child","workflow_id":"a"}"#, "`stop_child` is an internal message"),
        (r#"{"type":"cancel","id":"a","reason":{}}"#, "reason: invalid type: map"),
        (r#"{"type":"cancel","id":"a","request_id":"x y"}"#, "request_id: the request id contains ' '"),
    ] {
        assert!(error(body).contains(expected), "{body}\n  gave: {}\n  want: {expected}", error(body));
    }
}

#[test]
fn what_is_written_is_read_again() {
    let message = EventMessage {
        v: 1,
        namespace: Namespace::new("prod").unwrap(),
        workflow_id: WorkflowId::new("a").unwrap(),
        run_id: Some(RunId::from_random(1)),
        report: Report::Outcome(ActivityOutcome {
            activity_id: 3,
            attempt: 2,
            receive_count: 1,
            result: OutcomeResult::Completed(Payload::parse("[1,2]").unwrap()),
        }),
    };
    let read = read_event(&write(&message)).unwrap();
    assert_eq!(read.namespace.as_str(), "prod");
    let Message::Outcome(outcome) = read.message else { panic!("an outcome") };
    assert_eq!((outcome.activity_id, outcome.attempt), (3, 2));
    assert_eq!(outcome.result, OutcomeResult::Completed(Payload::parse("[1,2]").unwrap()));
}

#[test]
fn a_public_message_does_not_belong_in_events() {
    assert!(
        read_event(r#"{"type":"start","workflow":"W","id":"a"}"#)
            .unwrap_err()
            .to_string()
            .contains("events queue")
    );
}
