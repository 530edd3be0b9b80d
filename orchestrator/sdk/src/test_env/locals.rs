//! Local activities: run within the turn that asks for them.

use std::time::Duration;

use millrace_core::decide::{Decision, Live};
use millrace_core::{
    ActivityFailure, EventKind, Fault, LocalActivity, LocalActivityCompleted, LocalActivityFailed,
    OutcomeResult, Run, Task, TaskQueue, Turn, end_local,
};

use super::activities::Activities;
use super::code::Code;

/// So long may their attempts take together with the waits between them; here the waits take no time.
const AT_MOST: Duration = Duration::from_secs(15);

/// Runs what the code waits for, one after the other, until it waits for nothing more of the kind.
pub(super) fn run(
    live: &mut Option<Live>,
    mut decision: Decision,
    turn: &Turn<'_>,
    activities: &mut Activities,
    code: &Code,
) -> Decision {
    let mut asked: Vec<LocalActivity> = Vec::new();
    loop {
        let fresh = std::mem::take(&mut decision.locals);
        let Some(Live { run, replay: Some(_), .. }) = live else { return decision };
        asked.extend(fresh);
        if asked.is_empty() {
            return decision;
        }
        let end = one(run, asked.remove(0), turn, activities, code);
        decision = end_local(live, decision, end, turn);
    }
}

fn one(
    run: &Run,
    asked: LocalActivity,
    turn: &Turn<'_>,
    activities: &mut Activities,
    code: &Code,
) -> EventKind {
    let LocalActivity { activity_id, activity, .. } = asked.clone();
    match attempts(run, asked, turn, activities, code) {
        (attempts, Ok(result)) => LocalActivityCompleted { activity_id, activity, attempts, result }.into(),
        (attempts, Err(fault)) => {
            let failure = ActivityFailure { activity, attempts, fault };
            LocalActivityFailed { activity_id, failure }.into()
        }
    }
}

fn attempts(
    run: &Run,
    asked: LocalActivity,
    turn: &Turn<'_>,
    activities: &mut Activities,
    code: &Code,
) -> (u32, Result<millrace_core::Payload, Fault>) {
    let (mut used, mut waited) = (0, Duration::ZERO);
    loop {
        used += 1;
        let Some(task) = task(run, &asked, used, turn) else {
            return (used, Err(Fault::Terminated { reason: "no task queue".into() }));
        };
        let fault = match activities.attempt(task, code.app().activities(), turn.now).run() {
            Some(OutcomeResult::Completed(result)) => return (used, Ok(result)),
            Some(OutcomeResult::Failed(fault)) => fault,
            None => Fault::Terminated { reason: "it completes later".into() }, // It has no token.
        };
        match asked.options.retry.next_delay(used, &fault, 0.0) {
            Some(delay) if waited + delay <= AT_MOST => waited += delay.max(Duration::from_millis(1)),
            _ => return (used, Err(fault)),
        }
    }
}

fn task(run: &Run, asked: &LocalActivity, attempt: u32, turn: &Turn<'_>) -> Option<Task> {
    Some(Task {
        v: 1,
        namespace: millrace_core::Namespace::default(),
        workflow_id: run.info.workflow_id.clone(),
        run_id: run.info.run_id,
        workflow: run.info.workflow.clone(),
        activity_id: asked.activity_id,
        activity: asked.activity.clone(),
        task_queue: TaskQueue::new("local").ok()?,
        attempt,
        input: asked.input.clone(),
        scheduled_at: turn.now,
        available_at: turn.now,
        options: asked.options.clone(),
        token: None,
        headers: run.headers().clone(),
    })
}
