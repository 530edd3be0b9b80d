//! What every function does around its work: a runtime, logs, and an end that says why.

use std::process::ExitCode;
use std::time::Duration;

use millrace_engine::ports::Clock;
use tokio::runtime::Builder;

use super::logs;
use crate::deployment::Error;

/// Threads for attempts that run side by side, and for what they hand to `spawn_blocking` themselves.
const BLOCKING_THREADS: usize = 256;

/// From when on finished messages of a batch that is still at work are deleted early, and how often.
pub(super) const EARLY: Duration = Duration::from_secs(1);

/// Runs the function until its environment is taken away. Two threads: user code that never yields, in a turn or in an
/// activity, must not keep the deadline from being seen.
pub(crate) fn run(work: impl Future<Output = Result<(), Error>>) -> ExitCode {
    logs::install();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(work);
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each line of a check that failed names one resource; a log reader wants them apart.
            error.to_string().lines().for_each(|line| tracing::error!("cannot start: {line}"));
            ExitCode::FAILURE
        }
    }
}

/// Resolves after this time.
pub(super) async fn pause(clock: &dyn Clock, time: Duration) {
    clock.sleep_until(clock.now().plus(time)).await;
}
