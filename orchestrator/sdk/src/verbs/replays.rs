//! The verbs for recorded histories: export, replay.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use millrace_core::{Blocked, RunId, RunInfo, WorkflowId, WorkflowType};
use serde::Serialize;

use super::args::{ExportArgs, Place, ReplayArgs};
use super::connect::{Missing, connect};
use super::failure::{Failure, Verdict};
use super::{MakeApp, say, say_json};
use crate::{App, Recording};

pub(super) async fn export(place: &Place, args: &ExportArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let recording = connected.client().record(&args.target.id, args.target.run_id).await?;
    say(recording.write().trim_end());
    Ok(())
}

pub(super) async fn replay(app: Option<MakeApp>, place: &Place, args: &ReplayArgs) -> Verdict {
    let Some(app) = app else {
        let message =
            "this program knows no workflows; run the `replay` verb of the program that registers them";
        return Err(Failure::usage(message));
    };
    let recordings = match &args.id {
        Some(id) => {
            let connected = connect(place, Missing::Refuse).await?;
            vec![connected.client().record(id, args.run_id).await?]
        }
        None => read_all(&args.files)?,
    };
    let app = app(&place.data).map_err(|error| Failure::of(error.as_ref()))?;
    let differ = recordings.iter().filter(|recording| !goes_on(&app, recording, args.json)).count();
    match (differ, recordings.len()) {
        (0, _) => Ok(()),
        (differ, all) => {
            Err(Failure::blocked(format!("{differ} of {all} runs could not go on with this code")))
        }
    }
}

/// How a replay went, as JSON.
#[derive(Serialize)]
struct Replayed<'a> {
    id: &'a WorkflowId,
    run_id: RunId,
    workflow: &'a WorkflowType,
    events: usize,
    /// `null` if the run could go on.
    blocked: Option<&'a Blocked>,
}

/// Replays a run and says how that went.
fn goes_on(app: &App, recording: &Recording, as_json: bool) -> bool {
    let RunInfo { workflow_id, run_id, workflow, .. } = &recording.info;
    let events = recording.events.len();
    let blocked = app.replay(recording).err();
    if as_json {
        let (id, blocked) = (workflow_id, blocked.as_ref());
        say_json(&Replayed { id, run_id: *run_id, workflow, events, blocked });
    } else if let Some(reason) = &blocked {
        say(&format!("blocked  {workflow} {workflow_id} (run {run_id}): {reason}"));
    } else {
        say(&format!("ok       {workflow} {workflow_id} ({events} events)"));
    }
    blocked.is_none()
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Recording>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let unusable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
        let text = read(file).map_err(|error| unusable(&error))?;
        all.extend(Recording::read(&text).map_err(|error| unusable(&error))?);
    }
    Ok(all)
}

fn read(file: &Path) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
