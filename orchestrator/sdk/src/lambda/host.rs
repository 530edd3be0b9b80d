//! What every function does around its work: a runtime, logs, and an end that says why.

use std::process::ExitCode;
use std::time::Duration;

use millrace_engine::ports::Clock;
use tokio::runtime::{Builder, Runtime};

use super::logs;
use crate::deployment::Error;

/// Threads for attempts that run side by side, and for what they hand to `spawn_blocking` themselves.
const BLOCKING_THREADS: usize = 256;

/// From when on finished messages of a batch that is still at work are deleted early, and how often.
pub(super) const EARLY: Duration = Duration::from_secs(1);

/// Runs the function until its environment is taken away.
pub(crate) fn run(work: impl Future<Output = Result<(), Error>>) -> ExitCode {
    logs::install();
    let done = match runtime() {
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

/// Turns and attempts run on threads of the blocking pool (`ports.spawn`), so code of the user's that never yields holds
/// up neither I/O nor timers. Two threads for these: what user code spawns by itself runs there too.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).max_blocking_threads(BLOCKING_THREADS).enable_all().build()
}

/// Resolves after this time.
pub(super) async fn pause(clock: &dyn Clock, time: Duration) {
    clock.sleep_until(clock.now().plus(time)).await;
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt;
    use millrace_engine::ports::Spawn;
    use millrace_local::{SystemClock, TokioSpawn};

    use super::*;

    #[test]
    fn code_that_blocks_its_thread_does_not_keep_a_deadline_from_being_seen() {
        let runtime = runtime().unwrap();
        let spawn = TokioSpawn::new(runtime.handle().clone());
        let (end, blocked) = mpsc::channel::<()>();
        let began = SystemClock::default().now();
        runtime.block_on(async {
            // Woken by the timer itself: on a worker of the runtime it would block the one that drives the timer.
            let turn = async move {
                pause(&SystemClock::default(), Duration::from_millis(50)).await;
                let _ = blocked.recv_timeout(Duration::from_secs(20));
            };
            let _turn = spawn.spawn(turn.boxed());
            pause(&SystemClock::default(), Duration::from_millis(200)).await;
        });
        assert!(SystemClock::default().now().since(began) < Duration::from_secs(10));
        drop(end);
    }
}
