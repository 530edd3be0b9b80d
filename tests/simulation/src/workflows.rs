//! Workflows that use everything: activities in sequence, in parallel, bounded and racing, retries, timeouts, heartbeats
//! with progress, an exclusive activity, timers short and long, signals, published state, cancellation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;
use millrace::prelude::*;
use millrace_conformance::Process;
use millrace_engine::ports::Clock;
use serde::{Deserialize, Serialize};

use crate::{family, operator};

/// The world's clock, for activities that take time.
pub struct Time(pub Arc<dyn Clock>);

impl Time {
    pub(crate) async fn pass(&self, time: std::time::Duration) {
        self.0.sleep_until(self.0.now().plus(time)).await;
    }
}

/// Watches the exclusive activity from outside: who runs now, and which epochs have run. Each process has its own, over
/// what all of them share.
#[derive(Clone, Default)]
pub struct Probe {
    seen: Arc<Mutex<Watched>>,
    process: Option<Process>,
    build: u64,
    /// How many attempts run here of which one at a time may.
    squeezed: Arc<AtomicU64>,
}

#[derive(Default)]
struct Watched {
    runs: BTreeMap<String, Seen>,
    violations: Vec<String>,
    processes: u64,
    /// The runs whose activity of at most one execution has begun.
    once: BTreeSet<String>,
    /// The tokens of activities that somebody else completes, with what they ask.
    asked: Vec<(String, u64)>,
}

/// One run's exclusive activity.
#[derive(Default)]
struct Seen {
    inside: BTreeMap<u64, Who>,
    epoch: u64,
}

/// Who is inside, and how often it had stood still when it came.
type Who = Option<(Process, u64)>;

struct Inside {
    probe: Probe,
    run: String,
    epoch: u64,
}

impl Probe {
    /// The same for one more process, of this build.
    pub fn of_process(&self, process: &Process, build: u64) -> Self {
        self.watched().processes += 1;
        Self { process: Some(process.clone()), ..self.of_build(build) }
    }

    /// The same for whoever looks at runs with the code of this build.
    pub fn of_build(&self, build: u64) -> Self {
        Self { seen: self.seen.clone(), build, ..Self::default() }
    }

    /// How many deployments its process has come after.
    pub fn build(&self) -> u64 {
        self.build
    }

    /// An attempt whose activity is limited to one at a time in each process.
    pub(crate) fn squeezes(&self) -> Squeezed {
        let before = self.squeezed.fetch_add(1, Ordering::SeqCst);
        if before > 0 {
            self.watched().violations.push(format!("{} attempts at once, and the limit is 1", before + 1));
        }
        Squeezed(self.squeezed.clone())
    }

    /// An attempt of an activity that runs at most once in its run.
    pub(crate) fn begins_once(&self, run: &str) {
        let mut watched = self.watched();
        if !watched.once.insert(run.to_owned()) {
            watched.violations.push(format!("G11: {run}: an activity of at most one execution began twice"));
        }
    }

    /// Leaves the end of an activity to whoever has the token.
    pub(crate) fn asks(&self, token: String, n: u64) {
        self.watched().asked.push((token, n));
    }

    /// What was asked, in its order.
    pub(crate) fn asked(&self) -> Vec<(String, u64)> {
        self.watched().asked.clone()
    }

    /// How many processes have begun: each that was killed comes back as another.
    pub fn processes(&self) -> u64 {
        self.watched().processes
    }

    /// Somebody outside has seen what must not be.
    pub(crate) fn blames(&self, what: String) {
        self.watched().violations.push(what);
    }

    /// Two attempts that overlapped, epochs that did not rise.
    pub fn violations(&self) -> Vec<String> {
        self.watched().violations.clone()
    }

    /// What a resource does that knows of epochs: it refuses one that has been succeeded.
    fn enter(&self, run: &str, epoch: u64) -> Option<Inside> {
        let mut watched = self.watched();
        let Watched { runs, violations, .. } = &mut *watched;
        let seen = runs.entry(run.to_owned()).or_default();
        // One that stood still does not know that its lease has lapsed. Its epoch tells everybody else.
        let is_awake =
            |who: &Who| who.as_ref().is_none_or(|(process, freezes)| process.freezes() == *freezes);
        let who = self.process.clone().map(|process| (process.clone(), process.freezes()));
        let has_slept = who.as_ref().is_some_and(|(_, freezes)| *freezes > 0);
        if epoch < seen.epoch && has_slept {
            return None; // It stood still between its claim and its code.
        }
        if epoch <= seen.epoch {
            violations.push(format!("G11: {run}: epoch {epoch} after epoch {}", seen.epoch));
        }
        if seen.inside.values().any(is_awake) {
            violations.push(format!("G11: {run}: two attempts of an exclusive activity at once"));
        }
        seen.inside.insert(epoch, who);
        seen.epoch = seen.epoch.max(epoch);
        Some(Inside { probe: self.clone(), run: run.to_owned(), epoch })
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(seen) = self.probe.watched().runs.get_mut(&self.run) {
            seen.inside.remove(&self.epoch);
        }
    }
}

/// One attempt of an activity that is limited.
pub(crate) struct Squeezed(Arc<AtomicU64>);

impl Drop for Squeezed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes as many seconds as its number.
#[activity(start_to_close = "1m")]
pub async fn square(time: Shared<Time>, n: u64) -> Result<u64, ActivityError> {
    time.pass(secs(n)).await;
    Ok(n * n)
}

/// Fails twice.
#[activity(initial_interval = "2s", maximum_interval = "20m")]
pub async fn flaky(ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
    if ctx.attempt < 3 {
        return Err(ApplicationFailure::new("Flaky", format!("attempt {}", ctx.attempt)).into());
    }
    Ok(name.to_uppercase())
}

#[activity]
async fn declines(amount: u64) -> Result<(), ActivityError> {
    Err(ApplicationFailure::new("CardDeclined", "no").non_retryable().details(&amount).into())
}

/// Its task queue has no worker.
#[activity(task_queue = "nowhere", schedule_to_close = "10m")]
async fn forgotten() -> Result<(), ActivityError>;

#[activity(task_queue = "gpu", start_to_close = "1h", heartbeat = "1m")]
async fn train(ctx: ActivityContext, time: Shared<Time>, epochs: u32) -> Result<u32, ActivityError> {
    let first: u32 = ctx.progress().unwrap_or(0);
    for epoch in first..epochs {
        time.pass(secs(20)).await;
        ctx.heartbeat(&(epoch + 1))?;
    }
    Ok(epochs)
}

#[activity(task_queue = "gpu", exclusive, start_to_close = "1h")]
async fn charge(
    ctx: ActivityContext,
    probe: Shared<Arc<Probe>>,
    time: Shared<Time>,
) -> Result<String, ActivityError> {
    let run = ctx.run_id().map(|run| run.to_string()).unwrap_or_default();
    let Some(_inside) = probe.enter(&run, ctx.epoch()) else { return Err("another holds the lease".into()) };
    time.pass(secs(90)).await;
    Ok("charged".into())
}

/// A fact from outside.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Note {
    /// Its number.
    pub n: u64,
}

/// The end of the waiting.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Approve {
    /// Who.
    pub by: String,
}

/// How far the workflow is; published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The steps that are done.
    pub done: Vec<String>,
    /// The notes that have come.
    pub notes: Vec<u64>,
}

/// What the workflow returns: the same whatever goes wrong underneath.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is one feature's result")]
pub struct Summary {
    pub squares: Vec<u64>,
    pub bounded: Vec<u64>,
    pub first: u64,
    pub flaky: String,
    pub declined: bool,
    pub forgotten: bool,
    pub epochs: u32,
    pub charged: String,
    pub notes: Vec<u64>,
    pub approved_by: String,
    pub lonely: bool,
}

/// Uses everything.
#[workflow(accepts(Note, Approve))]
pub async fn everything(ctx: WorkflowContext, n: u64) -> Result<Summary, WorkflowError> {
    let progress = ctx
        .state(Progress::default())
        .on_signal(|progress, Note { n }| {
            progress.notes.push(n);
            progress.notes.sort_unstable();
        })
        .published();
    let done = |step: &str| progress.modify(|progress| progress.done.push(step.to_owned()));
    let approvals = ctx.signals::<Approve>();
    // Which activity is called depends on the random number: a replay that drew another would be blocked.
    let odd = ctx.random() % 2 == 1;

    let squares = try_join_all((0..5).map(|i| ctx.activity(square, i + n))).await?;
    if odd {
        ctx.activity(square, 1).await?;
    } else {
        ctx.activity(flaky, ctx.uuid().to_string()).await?;
    }
    done("squares");
    let calls = (0..6).map(|i| ctx.activity(square, i));
    let bounded = ctx.join_all_bounded(2, calls).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    done("bounded");
    let first = select! {
        never = ctx.activity(forgotten, ()).schedule_to_close(days(30)) => never.map(|()| 0)?,
        _ = ctx.sleep(secs(1)) => 1,
    };
    let (flaky, declined) = join!(ctx.activity(flaky, "ann".to_string()), ctx.activity(declines, 7));
    let declined =
        declined.is_err_and(|failure| failure.is("CardDeclined") && failure.details() == Some(7u64));
    let forgotten = ctx.activity(forgotten, ()).await.is_err_and(|failure| failure.is_timeout());
    done("failures");
    ctx.sleep(minutes(40)).await?;
    done("slept");
    let (epochs, charged) = try_join!(ctx.activity(train, 5), ctx.activity(charge, ()))?;
    done("leases");
    let approved_by = approvals.recv().await?.by;
    let lonely = approvals.recv().within(minutes(2)).await?.is_none();
    progress.until(|progress| progress.notes.len() == 3).await?;
    Ok(Summary {
        squares,
        bounded,
        first,
        flaky: flaky?,
        declined,
        forgotten,
        epochs,
        charged,
        notes: progress.get().notes,
        approved_by,
        lonely,
    })
}

/// Waits for days, and cleans up when it is canceled.
#[workflow]
pub async fn patient(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let waited = ctx.sleep(days(30)).await;
    ctx.shielded().activity(square, 2).await?;
    waited?;
    Ok(())
}

/// Everything that the world runs. Each process has its own.
pub fn app(clock: Arc<dyn Clock>, probe: Arc<Probe>) -> App {
    App::new()
        .share(Time(clock))
        .share(probe)
        .workflow(everything)
        .workflow(patient)
        .workflow(operator::diary)
        .workflow(family::family)
        .workflow(family::greet)
        .workflow(family::ward)
        .workflow(family::fails)
        .workflow(family::tidy)
        .workflow(family::patience)
        .workflow(family::wanderer)
        .workflow(family::entity)
        .workflow(family::steward)
        .activity(square)
        .activity(family::quick)
        .activity(family::picky)
        .activity(family::upwards)
        .activity(flaky)
        .activity(declines)
        .activity(train)
        .activity(charge)
}
