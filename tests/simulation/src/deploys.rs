//! Deployments while runs are on their way: of the same code as another build, and of code that cannot go on with any
//! run, followed by its repair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_conformance::{Fault, Injector, Sim};
use millrace_core::{Blocked, Command, Coroutine, Event, Payload, RunInfo, WorkflowCode, WorkflowType};
use millrace_engine::ports::Clock;

/// How often somebody may want to deploy.
const EVERY: Duration = Duration::from_secs(600);
/// How long it takes at most until code that blocks is repaired.
const LONGEST: Duration = Duration::from_secs(3 * 3600);
/// One orchestrator after the other.
const BETWEEN_TWO: Duration = Duration::from_secs(60);
/// For the trace and the injector.
const DEPLOYER: &str = "deployer";

/// What is wrong with a deployed build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wrong {
    #[default]
    Nothing,
    /// It does not know the workflows.
    Unknown,
    /// Every workflow panics at once.
    Panics,
}

/// What the orchestrators start with.
#[derive(Clone, Default)]
pub struct Deployment(Arc<Mutex<(u64, Wrong)>>);

impl Deployment {
    /// How many deployments there were.
    pub fn build(&self) -> u64 {
        self.lock().0
    }

    /// The code as it is deployed.
    pub fn of(&self, code: Arc<dyn WorkflowCode>) -> Arc<dyn WorkflowCode> {
        Arc::new(Deployed { code, wrong: self.lock().1 })
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Wrong)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, wrong: Wrong) {
        let mut deployed = self.lock();
        *deployed = (deployed.0 + 1, wrong);
    }

    /// Deploys as the injector says, to these orchestrators, for ever. What blocks is always repaired.
    pub async fn goes_on(self, sim: Sim, injector: Arc<Injector>, orchestrators: Vec<String>) {
        let clock = sim.clock();
        loop {
            pause(&*clock, EVERY).await;
            let bad = injector.happens(DEPLOYER, Fault::BadDeploy, || clock.now().to_string());
            if bad {
                let panics = injector.detail(DEPLOYER, |rng| rng.happens(5_000));
                self.change(if panics { Wrong::Panics } else { Wrong::Unknown });
                self.rolls(&sim, &orchestrators).await;
                pause(&*clock, injector.duration(DEPLOYER, LONGEST)).await;
            }
            if bad || injector.happens(DEPLOYER, Fault::Deploy, || clock.now().to_string()) {
                self.change(Wrong::Nothing);
                self.rolls(&sim, &orchestrators).await;
            }
        }
    }

    async fn rolls(&self, sim: &Sim, orchestrators: &[String]) {
        for name in orchestrators {
            sim.kill(name);
            pause(&*sim.clock(), BETWEEN_TWO).await;
        }
    }
}

async fn pause(clock: &dyn Clock, time: Duration) {
    clock.sleep_until(clock.now().plus(time)).await;
}

struct Deployed {
    code: Arc<dyn WorkflowCode>,
    wrong: Wrong,
}

impl WorkflowCode for Deployed {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        match self.wrong {
            Wrong::Nothing => self.code.instantiate(info),
            Wrong::Unknown => {
                Err(Blocked::UnknownWorkflow { workflow: info.workflow.to_string(), known: Vec::new() })
            }
            Wrong::Panics => Ok(Box::new(Panics)),
        }
    }

    fn refuses(&self, workflow: &WorkflowType, input: &Payload) -> Option<String> {
        self.code.refuses(workflow, input)
    }

    fn version(&self, workflow: &WorkflowType) -> Option<String> {
        self.code.version(workflow)
    }
}

struct Panics;

impl Coroutine for Panics {
    fn resume(&mut self, _event: &Event) -> Result<Vec<Command>, Blocked> {
        Err(Blocked::Panic { message: "a bad build".into(), at: None })
    }
}
