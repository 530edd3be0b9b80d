//! Tasks, as a worker reads them.

use millrace_format::message::{read_task, write};

use super::refused;
use crate::{Memory, Seeds, Target};

/// Messages of the task queues.
pub const TARGET: Target = Target {
    name: "task",
    seeds: &[Seeds::Schemas(&["task", "outcome"])],
    read,
    memory: Memory { times: 24, plus: 64_000 },
    slice: 3_000,
};

fn read(input: &[u8]) -> String {
    let Ok(body) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let task = match read_task(body) {
        Ok(task) => task,
        Err(bad) => return refused(bad),
    };
    assert_eq!(read_task(&write(&task)).as_ref(), Ok(&task), "written and read again");
    let options = &task.options;
    // What a worker makes of it.
    let _ = options.needs_lease();
    for used in [0, 1, task.attempt, u32::MAX] {
        let fault = millrace_core::Fault::Application(millrace_core::ApplicationFailure::new("X", "x"));
        let _ = options.retry.next_delay(used, &fault, 0.5);
    }
    let _ = options.schedule_to_close.map(|limit| task.scheduled_at.plus(limit));
    let (token, close) = (task.token.is_some(), options.schedule_to_close.is_some());
    format!("a task {token} {close} {} {}", options.heartbeat.is_some(), options.exclusive)
}
