//! A run's whole history in a file: what is exported, kept beside the code, and replayed against later code.
//!
//! One line that says whose it is, then one line for each event, from the first; a file may hold many runs, one after the
//! other. The first line has the names of a history object's header, so such an object, if nothing of it is sealed, is a
//! recording too. It has no checksums: whoever writes one by hand is welcome.

use millrace_core::{Event, EventKind, Run, RunId, RunInfo, Timestamp, WorkflowId, WorkflowType};
use serde::{Deserialize, Serialize};

use crate::history::{FORMAT, decode_event, encode_event};

/// The history of one run, all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Whose it is. The run id belongs to it: child ids and random numbers follow from it.
    pub info: RunInfo,
    /// From the first.
    pub events: Vec<Event>,
}

/// A file that holds no recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadRecording {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// The first line of a run.
#[derive(Serialize, Deserialize)]
struct Whose {
    format: u32,
    workflow_id: WorkflowId,
    run_id: RunId,
    workflow: WorkflowType,
    started_at: Timestamp,
}

impl Recording {
    /// The history of a run; what its events tell of it belongs to `info` from here on.
    pub fn new(info: RunInfo, events: Vec<Event>) -> Self {
        let mut run = Run::new(info);
        events.iter().take(1).for_each(|began| run.apply(began));
        Self { info: run.info, events }
    }

    /// Reads the runs of a file, in their order.
    pub fn read(text: &str) -> Result<Vec<Self>, BadRecording> {
        let mut recordings: Vec<Self> = Vec::new();
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        for (line, number) in lines {
            let bad = |reason| BadRecording { line: number, reason };
            if is_event(line).map_err(bad)? {
                let Some(recording) = recordings.last_mut() else {
                    let reason = "an event, but no line says whose: export the run with `export`";
                    return Err(bad(reason.to_owned()));
                };
                recording.events.push(next_event(line, recording.events.len()).map_err(bad)?);
            } else {
                let info = whose(line).map_err(bad)?;
                recordings.push(Self { info, events: Vec::new() });
            }
        }
        let empty = |reason: &str| BadRecording { line: text.lines().count(), reason: reason.to_owned() };
        match recordings.iter().find(|recording| recording.events.is_empty()) {
            Some(recording) => Err(empty(&format!("run {} has no events", recording.info.run_id))),
            None if recordings.is_empty() => Err(empty("there is no run in it")),
            None => Ok(recordings.into_iter().map(|run| Self::new(run.info, run.events)).collect()),
        }
    }

    /// The lines of the run, each with its end.
    pub fn write(&self) -> String {
        let RunInfo { workflow_id, run_id, workflow, started_at, .. } = self.info.clone();
        let whose = Whose { format: FORMAT, workflow_id, run_id, workflow, started_at };
        // Ids, names and a time always have a JSON form.
        let mut text = serde_json::to_string(&whose).unwrap_or_default();
        text.push('\n');
        self.events.iter().for_each(|event| encode_event(event, &mut text));
        text
    }
}

/// Events are numbered, first lines name a run.
fn is_event(line: &str) -> Result<bool, String> {
    #[derive(Deserialize)]
    struct Either {
        n: Option<u64>,
    }
    let either: Either = serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    Ok(either.n.is_some())
}

fn whose(line: &str) -> Result<RunInfo, String> {
    let whose: Whose =
        serde_json::from_str(line).map_err(|error| format!("whose history this is: {error}"))?;
    let Whose { format, workflow_id, run_id, workflow, started_at } = whose;
    if format != FORMAT {
        return Err(format!("format {format} is not known here, only {FORMAT}"));
    }
    Ok(RunInfo::new(workflow_id, run_id, workflow, started_at))
}

fn next_event(line: &str, before: usize) -> Result<Event, String> {
    let (event, expected) = (decode_event(line)?, before as u64 + 1);
    if event.n != expected {
        let n = event.n;
        let advice =
            "a history object whose first events are sealed is not whole: export the run with `export`";
        return Err(format!("event {expected} was expected, this is {n}; {advice}"));
    }
    if before == 0 && !matches!(event.kind, EventKind::RunStarted(_)) {
        return Err(format!("a history begins with `RunStarted`, not with `{}`", event.kind.name()));
    }
    Ok(event)
}

#[cfg(test)]
mod tests;
