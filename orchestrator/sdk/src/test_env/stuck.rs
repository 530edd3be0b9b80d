//! What is said when nothing is due any more.

use millrace_core::WorkflowId;

use super::entry::Entry;
use super::world::World;

impl World {
    /// Why a workflow will not go on, and what for it waits.
    pub(super) fn waits_for_ever(&self, id: &WorkflowId) -> String {
        let mut text = format!("workflow `{id}` waits for ever: at {} nothing is due any more", self.now);
        for line in self.waits(id, 0).into_iter().chain(self.dead_letters.iter().cloned()) {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        text
    }

    /// What a workflow waits for, and those that it waits for.
    fn waits(&self, id: &WorkflowId, depth: usize) -> Vec<String> {
        let Some(record) = self.workflows.get(id).and_then(Entry::current) else {
            return vec![format!("`{id}` does not exist")];
        };
        let (run, blocked) = (record.run, record.blocked);
        if let Some(mark) = blocked {
            return vec![format!("`{id}` is blocked: {}", mark.reason)];
        }
        let workflow = &run.info.workflow;
        let mut lines = Vec::new();
        let waits = self.code.waits(run.info.run_id);
        if !waits.is_empty() {
            lines.push(format!("`{id}` (workflow `{workflow}`) waits for {}", waits.join(", ")));
        }
        for (number, state) in &run.activities {
            let name = &state.scheduled.activity;
            let is_held =
                |task: &&millrace_core::Task| task.run_id == run.info.run_id && task.activity_id == *number;
            let held = if self.activities.waiting.iter().any(|task| is_held(&task)) { " (held)" } else { "" };
            lines.push(format!("`{id}` waits for activity {number} `{name}`{held}"));
        }
        for (number, child) in &run.children {
            lines.push(format!(
                "`{id}` waits for child {number} `{}` (workflow `{}`)",
                child.workflow_id, child.workflow
            ));
            if depth < 8 {
                lines.extend(self.waits(&child.workflow_id, depth + 1));
            }
        }
        lines
    }
}
