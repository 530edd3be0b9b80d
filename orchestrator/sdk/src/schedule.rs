//! Schedules: workflows that are started again and again, by a cron expression or at an interval.
//!
//! A schedule is itself a run, of the built-in type `millrace.schedule`: it waits for the next time with a timer, starts the
//! workflow as a child, and continues as new now and then. So nothing polls, no server keeps a list, and everything
//! that holds for a run holds for it. `docs/schedules.md` says what that guarantees and what it costs.

mod client;
mod messages;
mod planning;
mod run;
mod spec;
mod state;
mod times;

pub use client::ScheduleHandle;
pub use messages::{Backfill, Backfilled, Change, Pause, Trigger, Triggered, Unpause};
pub use run::ScheduleWorkflow;
pub use spec::{Overlap, Schedule};
pub use state::{Action, ActionOutcome, ScheduleState};
