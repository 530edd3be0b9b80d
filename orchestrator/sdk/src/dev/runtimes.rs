//! The threads: one tokio runtime for the engine and its HTTP API, one for activities.

use std::time::UNIX_EPOCH;

use tokio::runtime::{Builder, Handle, Runtime};

use super::{DevError, system};

/// Threads beside those that the attempts run on, for what activities hand to `spawn_blocking` themselves.
const FOR_THE_ACTIVITIES_OWN: usize = 256;

/// Both runtimes. Dropped, they stop without waiting for code that blocks: a runtime may be dropped from async code too.
pub(super) struct Runtimes {
    engine: Option<Runtime>,
    activities: Option<Runtime>,
    engine_handle: Handle,
    activities_handle: Handle,
}

impl Runtimes {
    /// Runtimes with a thread for each of so many attempts at a time.
    pub(super) fn new(attempts: usize) -> Result<Self, DevError> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let failed = || system("the system gave no threads");
        // One thread: turns only decide, never wait for the disk, and a message between two of the engine's own tasks
        // then needs no thread to be woken.
        let engine = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("millrace-engine")
            .enable_all()
            .build()
            .map_err(failed())?;
        let activities = Builder::new_multi_thread()
            .worker_threads(cores)
            .max_blocking_threads(FOR_THE_ACTIVITIES_OWN + attempts)
            .thread_name("millrace-activity")
            .enable_all()
            .build()
            .map_err(failed())?;
        let (engine_handle, activities_handle) = (engine.handle().clone(), activities.handle().clone());
        Ok(Self { engine: Some(engine), activities: Some(activities), engine_handle, activities_handle })
    }

    pub(super) fn engine(&self) -> Handle {
        self.engine_handle.clone()
    }

    pub(super) fn activities(&self) -> Handle {
        self.activities_handle.clone()
    }
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        for runtime in [self.activities.take(), self.engine.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

/// Names this build: the executable, Millrace's version, and when the executable was made. Hashing the executable would
/// say more, and cost a second.
pub(super) fn build() -> String {
    let exe = std::env::current_exe().ok();
    let name = exe.as_ref().and_then(|exe| exe.file_stem()).map(|name| name.to_string_lossy().into_owned());
    let made = exe.and_then(|exe| exe.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    let (name, made) = (name.unwrap_or_else(|| "app".into()), made.map_or(0, |made| made.as_secs()));
    format!("{name}@{}+{made:x}", env!("CARGO_PKG_VERSION"))
}
