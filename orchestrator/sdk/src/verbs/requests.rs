//! The verbs that ask for something: start, signal, cancel, terminate, resume.

use std::io::Read as _;

use super::args::{ActivityArgs, Place, Said, SignalArgs, StartArgs, StopArgs, Target, TargetArgs};
use super::connect::{Connected, Missing, connect};
use super::failure::{Failure, Verdict};
use super::{say, say_json};
use crate::client::Sent;
use millrace_core::{ActivityOptions, Payload, WorkflowId, WorkflowType};
use millrace_format::message::{
    InboxMessage, ResumeMessage, STANDALONE_ACTIVITY, SignalMessage, StandaloneActivity, StartMessage,
    StopMessage,
};

/// Which way to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Cancel,
    Terminate,
}

pub(super) async fn start(place: &Place, args: StartArgs) -> Verdict {
    let begin = args.begin;
    let input = json("--input", &begin.input)?;
    let memo = args.memo.map(|memo| json("--memo", &memo)).transpose()?;
    let attributes = attributes(args.attributes)?;
    let connected = connect(place, Missing::Create).await?;
    connected.must_know(args.workflow.as_str())?;
    let plain = StartMessage::plain(begin.id.clone(), args.workflow, input);
    let message = StartMessage {
        request_id: args.request_id,
        id_reuse: begin.id_reuse,
        id_conflict: begin.id_conflict,
        execution_timeout_s: args.execution_timeout.map(|limit| limit.as_secs_f64()),
        run_timeout_s: args.run_timeout.map(|limit| limit.as_secs_f64()),
        memo,
        attributes,
        headers: args.headers.into_iter().collect(),
        start_delay_s: args.delay.filter(|delay| !delay.is_zero()).map(|delay| delay.as_secs_f64()),
        ..plain
    };
    send(&connected, place, InboxMessage::Start(message), (&begin.id, "started", args.json)).await
}

pub(super) async fn activity(place: &Place, args: ActivityArgs) -> Verdict {
    let defaults = ActivityOptions::default();
    let options = ActivityOptions {
        start_to_close: args.start_to_close.unwrap_or(defaults.start_to_close),
        schedule_to_close: args.schedule_to_close,
        schedule_to_start: args.schedule_to_start,
        heartbeat: args.heartbeat,
        ..defaults
    };
    let begin = args.begin;
    let (activity, task_queue) = (args.activity, args.task_queue);
    let input = json("--input", &begin.input)?;
    let mut asked = StandaloneActivity { activity, task_queue, input, options };
    asked.options.retry.maximum_attempts = args.max_attempts;
    asked.check().map_err(Failure::rejected)?;
    let input = Payload::of(&asked).map_err(|error| Failure::usage(format!("--input: {error}")))?;
    let connected = connect(place, Missing::Create).await?;
    let workflow = WorkflowType::new(STANDALONE_ACTIVITY).map_err(|bad| Failure::usage(bad.to_string()))?;
    let message = StartMessage {
        request_id: args.request_id,
        id_reuse: begin.id_reuse,
        id_conflict: begin.id_conflict,
        ..StartMessage::plain(begin.id.clone(), workflow, input)
    };
    send(&connected, place, InboxMessage::Start(message), (&begin.id, "started", args.json)).await
}

pub(super) async fn signal(place: &Place, args: SignalArgs) -> Verdict {
    let Said { name, input } = args.said;
    if name.is_empty() {
        return Err(Failure::usage("name: a signal needs a name"));
    }
    let input = json("--input", &input)?;
    let connected = connect(place, Missing::Refuse).await?;
    let Target { id, run_id } = args.target;
    let message = SignalMessage {
        request_id: args.request_id,
        ..SignalMessage::new(id.clone(), name, input, args.after).of_run(run_id)
    };
    send(&connected, place, InboxMessage::Signal(message), (&id, "signaled", args.json)).await
}

pub(super) async fn stop(place: &Place, args: StopArgs, how: Stop) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let Target { id, run_id } = args.target;
    let message = StopMessage::new(id.clone(), args.reason).of_run(run_id);
    let (message, done) = match how {
        Stop::Cancel => (InboxMessage::Cancel(message), "asked to stop:"),
        Stop::Terminate => (InboxMessage::Terminate(message), "terminated"),
    };
    send(&connected, place, message, (&id, done, args.json)).await
}

pub(super) async fn resume(place: &Place, args: TargetArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let Target { id, run_id } = args.target;
    let message = ResumeMessage::new(id.clone()).of_run(run_id);
    send(&connected, place, InboxMessage::Resume(message), (&id, "tried again:", args.json)).await
}

pub(super) async fn send(
    connected: &Connected,
    place: &Place,
    message: InboxMessage,
    (id, done, as_json): (&WorkflowId, &str, bool),
) -> Verdict {
    let backend = connected.backend();
    let Sent { request_id, run_id } = backend.send(addressed(place, message)).await?;
    if as_json {
        say_json(&serde_json::json!({ "id": id, "request_id": request_id, "run_id": run_id }));
    } else if let Some(run_id) = run_id {
        say(&format!("{done} `{id}` (run {run_id})"));
    } else if backend.is_live() {
        say(&format!("accepted for `{id}`; its log does not have it yet"));
    } else {
        let data = place.data.display();
        say(&format!(
            "accepted for `{id}`; no engine is at work on `{data}`: it is done when `dev` is started"
        ));
    }
    Ok(())
}

/// The message, for the namespace that is meant: an engine of another refuses it.
pub(super) fn addressed(place: &Place, mut message: InboxMessage) -> InboxMessage {
    message.to_complete().0.get_or_insert_with(|| place.namespace.clone());
    message
}

/// What `--attribute` gave, as one object.
fn attributes(given: Vec<(String, serde_json::Value)>) -> Result<Option<Payload>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let object: serde_json::Map<_, _> = given.into_iter().collect();
    Payload::of(&object).map(Some).map_err(|error| Failure::usage(format!("--attribute: {error}")))
}

/// JSON as it is typed, from a file (`@file`), or from standard input (`-`).
pub(super) fn json(option: &str, text: &str) -> Result<Payload, Failure> {
    let from_file;
    let (json, place) = match text.strip_prefix('@') {
        Some(file) => {
            from_file = std::fs::read_to_string(file)
                .map_err(|error| Failure::usage(format!("{option}: `{file}` cannot be read: {error}")))?;
            (from_file.as_str(), format!("`{file}`"))
        }
        None if text == "-" => {
            let mut all = String::new();
            std::io::stdin().read_to_string(&mut all).map_err(|error| {
                Failure::usage(format!("{option}: standard input cannot be read: {error}"))
            })?;
            from_file = all;
            (from_file.as_str(), "standard input".into())
        }
        None => (text, "what was given".into()),
    };
    let hint = "a text needs quotes of its own, such as '\"Ann\"'";
    Payload::parse(json.trim())
        .map_err(|error| Failure::usage(format!("{option}: {place} is not JSON: {error}; {hint}")))
}
