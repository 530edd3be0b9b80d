//! Recorded histories: could this code have made them?

use millrace_core::{Blocked, Event, EventKind, RunId, RunInfo, WorkflowId};

use super::code::Code;
use super::entry::Entry;
use super::world::{Inside, World};

impl World {
    /// Whether code could have made this history, as far as it goes.
    pub(super) fn replay(&self, code: &Code, workflow: &str, history: &[Event]) -> Result<(), Blocked> {
        let info = self.info_of(history).map_err(|message| Blocked::BadInput { message })?;
        if info.workflow.as_str() != workflow {
            let message = format!("this is the history of a `{}`, not of a `{workflow}`", info.workflow);
            return Err(Blocked::BadInput { message });
        }
        let _inside = Inside::enter();
        crate::recorded::replay(code, &info, history)
    }

    /// The run that a history is of; if it was not made here, some run that it might be of.
    fn info_of(&self, history: &[Event]) -> Result<RunInfo, String> {
        let Some(Event { t, kind: EventKind::RunStarted(started), .. }) = history.first() else {
            return Err("a history begins with `RunStarted`".to_owned());
        };
        let mut runs = self.workflows.values().flat_map(Entry::runs);
        if let Some(known) = runs.find(|record| record.history.first() == history.first()) {
            return Ok(known.run.info.clone());
        }
        let workflow_id = WorkflowId::new("replayed").map_err(|error| error.to_string())?;
        let (run_id, workflow) = (RunId::from_random(1), started.workflow.clone());
        let seed = started.forked_from.as_ref().map_or(run_id, |forked| forked.seed);
        let version = started.version.clone();
        Ok(RunInfo { seed, version, ..RunInfo::new(workflow_id, run_id, workflow, *t) })
    }
}
