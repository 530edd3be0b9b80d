//! The verbs that look: result, show, list.

use std::borrow::Cow;

use millrace_engine::Outcome;
use millrace_engine::ports::Clock;
use millrace_format::history::{decode_event, encode_event};
use millrace_local::SystemClock;

use super::args::{ListArgs, Place, ResultArgs, TargetArgs};
use super::connect::{Missing, connect};
use super::failure::{Failure, Verdict};
use super::progress::watch;
use super::timeline::{span, timeline};
use super::{say, say_json};
use crate::RunError;
use crate::client::{Event, Listed};
use crate::codec::Codecs;

pub(super) async fn result(place: &Place, args: &ResultArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let backend = connected.backend();
    let (backend, id, run) = (backend.as_ref(), &args.target.id, args.target.run_id);
    let outcome = if backend.is_live() {
        watch(backend, (id, run), args.timeout, args.quiet).await?
    } else {
        let outcome = backend.outcome(id, run, std::time::Duration::ZERO).await?;
        if outcome.is_none() {
            let data = place.data.display();
            let message = format!("`{id}` is running, but no engine is at work on `{data}`; start `dev`");
            return Err(Failure::engine(message));
        }
        outcome
    };
    match outcome {
        Some(Outcome::Completed(result)) => {
            say(result.as_str());
            Ok(())
        }
        Some(Outcome::Failed(failure)) => Err(RunError::Failed(failure).into()),
        Some(Outcome::Blocked(mark)) => Err(RunError::Blocked(mark.reason).into()),
        None => Err(Failure::time_is_up(format!("the time is up, and `{id}` is still running"))),
    }
}

pub(super) async fn show(place: &Place, args: &TargetArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let backend = connected.backend();
    let (id, run) = (&args.target.id, args.target.run_id);
    let run = backend.describe(id, run).await?;
    let events = backend.history(id, Some(run.run_id)).await?;
    let codecs = &place.hooks.codecs;
    let events: Vec<Event> = events.into_iter().map(|event| shown(codecs, event)).collect();
    if args.json {
        let mut lines = String::new();
        events.iter().for_each(|event| encode_event(event, &mut lines));
        say(lines.trim_end());
    } else {
        say(timeline(&run, &events).trim_end());
    }
    Ok(())
}

/// An event with plain payloads, as far as they can be had.
pub(super) fn shown(codecs: &Codecs, event: Event) -> Event {
    let mut line = String::new();
    encode_event(&event, &mut line);
    match codecs.shown(&line) {
        Cow::Borrowed(_) => event,
        Cow::Owned(line) => decode_event(&line).unwrap_or(event),
    }
}

pub(super) async fn list(place: &Place, args: ListArgs) -> Verdict {
    let ListArgs { filter, limit, json } = args;
    let connected = connect(place, Missing::Refuse).await?;
    let runs = connected.client().list(&filter.filter(limit)).await?;
    if json {
        runs.iter().for_each(say_json);
        return Ok(());
    }
    say(&table(&runs));
    if runs.len() == limit {
        eprintln!("there may be more: see --limit");
    }
    Ok(())
}

/// Runs as people read them; a column of attributes only where there are some.
pub(super) fn table(runs: &[Listed]) -> String {
    let now = SystemClock::default().now();
    let with_attributes = runs.iter().any(|run| !run.entry.attributes.is_empty());
    let attributes = if with_attributes { "ATTRIBUTES" } else { "" };
    let mut rows = vec![["ID", "TYPE", "STATUS", "STARTED", "TOOK", "RUN", attributes].map(str::to_owned)];
    for Listed { entry, blocked, paused } in runs {
        let stands = match (paused, blocked) {
            (Some(_), _) => "paused".into(),
            (None, Some(_)) => "blocked".into(),
            (None, None) => entry.status.to_string(),
        };
        rows.push([
            entry.workflow_id.to_string(),
            entry.workflow.to_string(),
            stands,
            format!("{} ago", span(now - entry.started_at)),
            entry.closed_at.map(|closed| span(closed - entry.started_at)).unwrap_or_default(),
            entry.run_id.to_string(),
            entry
                .attributes
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
        ]);
    }
    super::table::table(&rows)
}
