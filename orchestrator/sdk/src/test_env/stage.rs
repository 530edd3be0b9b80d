//! Who moves the world: requests until nothing is due now, waiting until something has come true.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_core::{Timestamp, WorkflowId};

use super::world::{DECIDING, Step, World};
use crate::{App, RunError};

/// So much happens for one request or wait at most: a test should end.
const MOST_STEPS: u32 = 20_000;

/// The world, and the lock around it. Activities run without the lock, so that they may use the client.
pub(super) struct Stage(Mutex<World>);

impl Stage {
    pub(super) fn new(app: App) -> Self {
        Self(Mutex::new(World::new(app)))
    }

    #[allow(clippy::panic, reason = "a mistake in workflow code; it blocks the run and names the reason")]
    pub(super) fn open(&self) -> MutexGuard<'_, World> {
        if DECIDING.get() {
            panic!(
                "workflow code, or a local activity, uses the test's client; that is for other activities, and for the test"
            )
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does everything that is due now.
    pub(super) fn settle(&self) -> Result<(), RunError> {
        for _ in 0..MOST_STEPS {
            let mut world = self.open();
            let now = world.now;
            let step = world.step(Some(now));
            drop(world);
            if !self.step(step) {
                return Ok(());
            }
        }
        Err(RunError::Unavailable(format!(
            "after {MOST_STEPS} steps without any time between them there is no end: something asks for itself again at \
             once; let it sleep, or give it an end"
        )))
    }

    /// Moves time to `end`; what is due on the way happens.
    #[allow(clippy::panic, reason = "this is how a test fails")]
    pub(super) fn advance(&self, by: Duration) {
        let end = self.open().now.plus(by);
        let mut seen = (Timestamp::default(), 0);
        loop {
            let step = self.open().step(Some(end));
            if !self.step(step) {
                break;
            }
            let now = self.open().now;
            seen = if seen.0 == now { (now, seen.1 + 1) } else { (now, 0) };
            if seen.1 == MOST_STEPS {
                panic!(
                    "after {MOST_STEPS} steps at {now} there is no end: something asks for itself again at once; let it \
                     sleep, or give it an end"
                );
            }
        }
        let mut world = self.open();
        world.now = world.now.max(end);
    }

    /// Lets happen whatever is due next, until `found` finds something. Nothing more to come is an error that says what the
    /// workflow waits for.
    pub(super) fn wait<T>(
        &self,
        id: &WorkflowId,
        found: impl Fn(&World) -> Result<Option<T>, RunError>,
    ) -> Result<T, RunError> {
        for _ in 0..MOST_STEPS {
            let mut world = self.open();
            if let Some(found) = found(&world)? {
                return Ok(found);
            }
            if let Some(text) = world.hopeless.take() {
                return Err(RunError::Unavailable(text));
            }
            let step = world.step(None);
            if matches!(step, Step::Nothing) {
                return Err(RunError::Unavailable(world.waits_for_ever(id)));
            }
            drop(world);
            self.step(step);
        }
        let text = format!(
            "after {MOST_STEPS} steps, at {}, `{id}` has no end; `advance` goes only so far",
            self.open().now
        );
        Err(RunError::Unavailable(text))
    }

    /// Finishes a step; says whether there was one.
    fn step(&self, step: Step) -> bool {
        match step {
            Step::Nothing => false,
            Step::Done => true,
            Step::Run(attempt) => {
                let (running, task) = *attempt;
                // Nothing to report if somebody else is to do that later.
                if let Some(result) = running.run() {
                    self.open().report(task, result);
                }
                true
            }
        }
    }
}
