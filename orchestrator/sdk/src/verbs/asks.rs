//! The verbs that ask a workflow's code and print what it answers: update, query.

use std::time::Duration;

use millrace_engine::ports::Clock;
use millrace_format::message::{InboxMessage, SignalMessage};
use millrace_local::SystemClock;
use serde::Serialize;

use super::args::{Place, QueryArgs, Said, Target, UpdateArgs};
use super::connect::{Missing, connect, connect_with};
use super::failure::{Failure, Verdict};
use super::requests::{addressed, json};
use super::{MakeApp, say, say_json};
use crate::client::{Payload, Sent, must_be_live};

/// How long one request for the answer waits; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer with what belongs to it.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a millrace_core::WorkflowId,
    #[serde(flatten)]
    sent: Option<Sent>,
    result: &'a Payload,
}

pub(super) async fn update(place: &Place, args: UpdateArgs) -> Verdict {
    let Said { name, input } = args.said;
    let input = json("--input", &input)?;
    let connected = connect(place, Missing::Refuse).await?;
    let (backend, Target { id, run_id }) = (connected.backend(), args.target);
    let backend = backend.as_ref();
    must_be_live(backend)?;
    let clock = SystemClock::default();
    let until = args.timeout.map(|timeout| clock.now().plus(timeout));
    let message = SignalMessage {
        request_id: args.request_id,
        ..SignalMessage::new(id.clone(), name, input, None).of_run(run_id)
    };
    let sent = backend.send(addressed(place, InboxMessage::Update(message))).await?;
    loop {
        let wait = until.map_or(PATIENCE, |until| until.since(clock.now()).min(PATIENCE));
        let run = sent.run_id.or(run_id);
        if let Some(result) = backend.answer(&id, run, &sent.request_id, wait).await? {
            print(args.json, &Answer { id: &id, sent: Some(sent), result: &result });
            return Ok(());
        }
        if until.is_some_and(|until| until <= clock.now()) {
            let again = format!("ask again with --request-id {}", sent.request_id);
            return Err(Failure::time_is_up(format!(
                "the time is up, and `{id}` has not answered yet; {again}"
            )));
        }
    }
}

pub(super) async fn query(app: Option<MakeApp>, place: &Place, args: QueryArgs) -> Verdict {
    let Said { name, input } = args.said;
    let input = json("--input", &input)?;
    let connected = connect_with(place, Missing::Refuse, app).await?;
    let Target { id, run_id } = args.target;
    let result = connected.backend().query(&id, run_id, &name, &input).await?;
    print(args.json, &Answer { id: &id, sent: None, result: &result });
    Ok(())
}

fn print(as_json: bool, answer: &Answer<'_>) {
    if as_json {
        say_json(answer);
    } else {
        say(answer.result.as_str());
    }
}
