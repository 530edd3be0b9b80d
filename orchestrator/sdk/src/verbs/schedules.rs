//! The verb `schedule`: sets schedules up, looks at them, tells them things.

use millrace_core::Timestamp;
use serde::Serialize;

use super::args::{Place, ScheduleCreateArgs, ScheduleListArgs, ScheduleVerb};
use super::connect::{Connected, Missing, connect};
use super::failure::{Failure, Verdict};
use super::requests::json;
use super::{say, say_json, table};
use crate::client::must_be_live;
use crate::{ActionOutcome, Backfill, RunError, Schedule, ScheduleHandle, ScheduleState};

pub(super) async fn schedule(place: &Place, verb: ScheduleVerb) -> Verdict {
    match verb {
        ScheduleVerb::Create(args) => create(place, args).await,
        ScheduleVerb::List(args) => list(place, &args).await,
        ScheduleVerb::Show(args) => {
            let (_connected, schedule) = handle(place, args.id.as_str()).await?;
            let state = schedule.describe().await?;
            if args.json {
                say_json(&state)
            } else {
                say(&shown(&schedule, &state))
            }
            Ok(())
        }
        ScheduleVerb::Pause(args) => {
            let schedule = live(place, args.id.as_str()).await?;
            schedule.1.pause(args.note).await?;
            told(&schedule.1, args.json, "paused").await
        }
        ScheduleVerb::Unpause(args) => {
            let schedule = live(place, args.id.as_str()).await?;
            schedule.1.unpause(args.note).await?;
            told(&schedule.1, args.json, "goes on:").await
        }
        ScheduleVerb::Trigger(args) => {
            let (_connected, schedule) = live(place, args.id.as_str()).await?;
            let triggered = schedule.workflow().update(crate::Trigger { overlap: args.overlap }).await?;
            let line = format!("triggered `{}`: `{}`", schedule.id(), triggered.workflow_id);
            if args.json {
                say_json(&triggered)
            } else {
                say(&line)
            }
            Ok(())
        }
        ScheduleVerb::Backfill(args) => {
            let (_connected, schedule) = live(place, args.id.as_str()).await?;
            let overlap = args.at_once.then_some(crate::Overlap::AllowAll);
            let backfill = Backfill { from: args.from, to: args.to, overlap };
            let made = schedule.workflow().update(backfill).await?;
            let line = format!("`{}` makes up for {} times", schedule.id(), made.actions);
            if args.json {
                say_json(&made)
            } else {
                say(&line)
            }
            Ok(())
        }
        ScheduleVerb::Delete(args) => {
            let (_connected, schedule) = handle(place, args.id.as_str()).await?;
            schedule.describe().await?;
            let sent = schedule.delete(args.reason).await?;
            if args.json {
                say_json(&sent)
            } else {
                say(&format!("deleted `{}`; what it has started goes on", schedule.id()))
            }
            Ok(())
        }
    }
}

async fn create(place: &Place, args: ScheduleCreateArgs) -> Verdict {
    let id = args.id.clone();
    let as_json = args.json;
    let schedule = wanted(args)?;
    // Before anything is sent, and before a folder is made.
    schedule.check().map_err(Failure::rejected)?;
    let connected = connect(place, Missing::Create).await?;
    connected.must_know(schedule.workflow_type())?;
    let client = connected.client();
    let handle = client.schedule(id.as_str(), schedule).await?;
    if client.backend().is_live() {
        return told(&handle, as_json, "set up").await;
    }
    let data = place.data.display();
    let line =
        format!("accepted `{id}`; no engine is at work on `{data}`: it is set up when `dev` is started");
    if as_json {
        say_json(&serde_json::json!({ "id": id }))
    } else {
        say(&line)
    }
    Ok(())
}

fn wanted(args: ScheduleCreateArgs) -> Result<Schedule, Failure> {
    let input = json("--input", &args.input)?;
    let mut schedule = match (args.cron, args.every) {
        (Some(cron), _) => Schedule::cron(cron),
        (None, Some(every)) => Schedule::every(every),
        (None, None) => return Err(Failure::usage("say when: --cron EXPRESSION or --every TIME")),
    };
    schedule = schedule.starts_named(args.workflow.as_str(), input).overlap(args.overlap);
    if let Some(zone) = args.time_zone {
        schedule = schedule.time_zone(zone);
    }
    if let Some(offset) = args.offset {
        schedule = schedule.offset(offset);
    }
    if let Some(jitter) = args.jitter {
        schedule = schedule.jitter(jitter);
    }
    if let Some(window) = args.catch_up {
        schedule = schedule.catch_up(window);
    }
    if let Some(time) = args.starts_at {
        schedule = schedule.starts_at(time);
    }
    if let Some(time) = args.ends_at {
        schedule = schedule.ends_at(time);
    }
    Ok(match args.remaining {
        Some(remaining) => schedule.remaining(remaining),
        None => schedule,
    })
}

async fn handle(place: &Place, id: &str) -> Result<(Connected, ScheduleHandle), Failure> {
    let connected = connect(place, Missing::Refuse).await?;
    let handle = connected.client().schedule_handle(id)?;
    Ok((connected, handle))
}

/// The same where an engine is at work and can answer.
async fn live(place: &Place, id: &str) -> Result<(Connected, ScheduleHandle), Failure> {
    let (connected, handle) = handle(place, id).await?;
    must_be_live(connected.client().backend().as_ref())?;
    handle.describe().await?;
    Ok((connected, handle))
}

/// Says where a schedule stands now.
async fn told(schedule: &ScheduleHandle, as_json: bool, done: &str) -> Verdict {
    let state = match schedule.describe().await {
        Ok(state) => state,
        // Its start waits in the inbox.
        Err(RunError::NotFound(_) | RunError::Unavailable(_)) if !as_json => {
            say(&format!("accepted `{}`; its log does not have it yet", schedule.id()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if as_json {
        say_json(&state);
    } else {
        let next = state.next.first().map(|time| format!("; the next time is {time}")).unwrap_or_default();
        say(&format!("{done} `{}`{next}", schedule.id()));
    }
    Ok(())
}

async fn list(place: &Place, args: &ScheduleListArgs) -> Verdict {
    /// A schedule on a line of its own.
    #[derive(Serialize)]
    struct Line<'a> {
        id: &'a str,
        #[serde(flatten)]
        state: &'a ScheduleState,
    }
    let connected = connect(place, Missing::Refuse).await?;
    let client = connected.client();
    let mut rows =
        vec![["ID", "WHEN", "STARTS", "NEXT", "RUNNING", "FIRED", "SKIPPED", "MISSED"].map(str::to_owned)];
    let listed = client.schedules(args.limit).await?;
    for run in &listed {
        let id = run.entry.workflow_id.as_str();
        let state = match client.schedule_handle(id)?.describe().await {
            Ok(state) => state,
            // It has ended since, or is about to begin.
            Err(RunError::NotFound(_) | RunError::Unavailable(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        if args.json {
            say_json(&Line { id, state: &state });
        }
        rows.push([
            id.to_owned(),
            state.schedule.when(),
            state.schedule.workflow_type().to_owned(),
            if state.paused { "paused".to_owned() } else { time(state.next.first().copied()) },
            state.running.to_string(),
            state.fired.to_string(),
            state.skipped.to_string(),
            state.missed.to_string(),
        ]);
    }
    if !args.json {
        say(&table::table(&rows));
    }
    if listed.len() == args.limit {
        eprintln!("there may be more: see --limit");
    }
    Ok(())
}

fn time(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string().replace(".000Z", "Z")).unwrap_or_default()
}

fn shown(schedule: &ScheduleHandle, state: &ScheduleState) -> String {
    let what = state.schedule.workflow_type();
    let mut lines = vec![format!("{}  {}  starts {what}", schedule.id(), state.schedule.when())];
    if state.paused {
        lines.push("paused".to_owned());
    }
    if !state.note.is_empty() {
        lines.push(format!("note: {}", state.note));
    }
    let next: Vec<_> = state.next.iter().map(|next| time(Some(*next))).collect();
    lines.push(format!("next: {}", if next.is_empty() { "none".to_owned() } else { next.join(", ") }));
    let ScheduleState { fired, skipped, missed, running, waiting, .. } = state;
    lines.push(format!(
        "fired {fired}, skipped {skipped}, missed {missed}; {running} running, {waiting} waiting"
    ));
    let mut rows = vec![["ACTION", "STARTED", "ENDED", "OUTCOME"].map(str::to_owned)];
    for action in &state.recent {
        let outcome = match &action.outcome {
            ActionOutcome::Running => "running".to_owned(),
            ActionOutcome::Completed => "completed".to_owned(),
            ActionOutcome::Failed { reason } => format!("failed: {reason}"),
            ActionOutcome::NotStarted { reason } => format!("not started: {reason}"),
            ActionOutcome::Unknown => "not followed".to_owned(),
        };
        rows.push([
            action.workflow_id.clone(),
            time(Some(action.started_at)),
            time(action.ended_at),
            outcome,
        ]);
    }
    if rows.len() > 1 {
        lines.push(table::table(&rows));
    }
    lines.join("\n")
}
