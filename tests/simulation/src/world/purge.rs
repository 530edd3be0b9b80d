//! The end of a world: when everything has closed, all of it is removed, with faults again, until nothing is left.

use std::time::Duration;

use millrace_core::Namespace;
use millrace_engine::{Purger, Retention, Sweeper};
use millrace_format::Keys;

use super::{World, pause};

/// Longer than any late write is late, and any process frozen: none sleeps as long as the shortest retention, which is not
/// kept here.
const SETTLES: Duration = Duration::from_secs(4_000);
/// How often each of the purgers looks.
const EVERY_S: u64 = 300;
/// They may be killed and frozen most of the time, but not all of it.
const MOST_ROUNDS: u32 = 1_000;
/// What belongs to runs. Timers that nobody waits for any more lie in the bucket until they are due.
const OF_RUNS: [&str; 2] = ["default/workflow/", "default/index/"];

impl World {
    /// Removes every run, by two purgers at once. A sweep has come before, as it does many times within the shortest
    /// retention: an entry among the open runs that was written late would have no run to tell of it any more.
    pub(super) fn is_purged(&self) -> Result<(), String> {
        // Nothing happens any more: only the time passes.
        let _ = self.sim.run_until(|| false, SETTLES);
        self.staff_goes_home();
        self.injector.set_calm(false);
        self.sweeper();
        self.until_gone("swept", |world| world.keys("default/index/open/"))?;
        for name in ["purger-1", "purger-2"] {
            self.purger(name);
        }
        self.until_gone("purged", Self::left_of_runs)
    }

    fn until_gone(&self, done: &str, left: fn(&Self) -> Vec<String>) -> Result<(), String> {
        for _ in 0..MOST_ROUNDS {
            let _ = self.sim.run_until(|| false, Duration::from_secs(EVERY_S));
            if left(self).is_empty() {
                return Ok(());
            }
        }
        Err(self.stuck(&format!("not everything is {done}: {:#?}", left(self))))
    }

    /// What should be gone. The payloads of a run that was never committed, because its first turn was made again under
    /// another run id, nobody finds: no entry of the index leads to them.
    fn left_of_runs(&self) -> Vec<String> {
        let keys = OF_RUNS.iter().flat_map(|prefix| self.keys(prefix));
        let is_orphan = |key: &str| match key.split('/').collect::<Vec<_>>()[..] {
            [_, "workflow", _, _, run_id, "payload", _] => !self.watch.has_committed(run_id),
            _ => false,
        };
        keys.filter(|key| !is_orphan(key)).collect()
    }

    fn sweeper(&self) {
        let world = self.share();
        self.sim.supervise("sweeper", move |process| {
            let ports = world.faulty_ports(&process);
            let clock = ports.clock.clone();
            let sweeper = Sweeper::new(ports, Keys::new(Namespace::default()));
            process.spawn(async move {
                loop {
                    sweeper.sweep().await;
                    pause(&*clock, EVERY_S).await;
                }
            });
        });
    }

    fn purger(&self, name: &str) {
        let world = self.share();
        self.sim.supervise(name, move |process| {
            let ports = world.faulty_ports(&process);
            let clock = ports.clock.clone();
            let purger =
                Purger::new(ports, Keys::new(Namespace::default()), Retention::unchecked(Duration::ZERO));
            process.spawn(async move {
                loop {
                    purger.purge(None).await;
                    pause(&*clock, EVERY_S).await;
                }
            });
        });
    }
}
