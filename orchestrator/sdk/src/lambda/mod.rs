//! The engine on AWS Lambda: each of these is the `main` of one function.
//!
//! ```no_run
//! # use millrace::prelude::*;
//! # fn app() -> App { App::new() }
//! fn main() -> std::process::ExitCode {
//!     millrace::lambda::orchestrator(app())
//! }
//! ```
//!
//! | function | called by | does |
//! |---|---|---|
//! | [`orchestrator`] | event source mappings of the inbox and of events | turns |
//! | [`worker`] | the event source mapping of a task queue | activities that fit into a function's time |
//! | [`dead_letters`] | a schedule, each minute | reports tasks that killed their workers |
//! | [`timer_tick`] | a schedule: `{"do":"tick"}` each five minutes, `{"do":"sweep"}` each day | far timers; forgotten messages |
//!
//! All read their deployment from the environment: `MILLRACE_BUCKET`, `MILLRACE_QUEUE_PREFIX`, `MILLRACE_NAMESPACE`
//! (`default`), `MILLRACE_BUILD` (names the code in histories), `MILLRACE_LOG` (`info`), and the orchestrator
//! `MILLRACE_MAX_TURNS_PER_HOUR` (36,000; 0 for no limit): a run that makes more turns than that by itself is blocked.
//! The timer tick reads `MILLRACE_RETENTION` (`90d`; closed runs are kept for ever without it).
//!
//! What holds: a message is acknowledged only after its turn's effects are dispatched (G4), so a function that is killed,
//! frozen or out of time loses nothing. What acknowledges is the function's answer, which costs no request; only when a
//! batch takes long are the finished messages deleted early, so that a turn that hangs does not drag the others along.

mod acknowledgements;
mod event;
mod host;
mod logs;
mod metrics;
mod orchestrator;
mod scheduled;
mod worker;

#[cfg(feature = "fuzz")]
pub(crate) use event::read;
pub(crate) use host::run;
pub use millrace_aws::{Settings, SettingsError, s3_client};
pub use orchestrator::orchestrator;
pub use scheduled::{dead_letters, timer_tick};
pub use worker::worker;
