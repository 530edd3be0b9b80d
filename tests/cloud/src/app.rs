//! Workflows for the tests: plain ones, and one that uses everything and is told what goes wrong on the way.
//!
//! What happens once is remembered by files in a folder that the input names: the process that it happens to is gone
//! afterwards. Functions of the emulator are processes of this machine and see the same folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::try_join_all;
use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::language;

/// How long an activity that waits to be killed waits: if nobody comes, it goes on.
const DOOMED: Duration = Duration::from_secs(200);

/// What an orchestrator does to itself in the middle of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sabotage {
    /// The process is gone at once.
    Abort,
    /// The turn never ends, and never yields.
    Hang,
}

/// Where things that happen once are remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory(PathBuf);

impl Memory {
    /// In this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// `true` for the first caller of all processes.
    pub fn first(&self, what: &str) -> bool {
        File::create_new(self.0.join(what)).is_ok()
    }

    /// Whether it has happened.
    pub fn has(&self, what: &str) -> bool {
        self.0.join(what).exists()
    }

    /// `true` for the first so many callers.
    fn first_times(&self, what: &str, times: u32) -> bool {
        (1..=times).any(|n| self.first(&format!("{what}.{n}")))
    }

    /// Adds a line to a file; short lines of several processes do not mix.
    fn note(&self, file: &str, line: &str) -> std::io::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.0.join(file))?;
        file.write_all(format!("{line}\n").as_bytes())
    }

    /// The lines of a file.
    pub fn notes(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

/// A run of [`chaos`], and what is to go wrong with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChaosSpec {
    /// Names the run in the folder.
    pub name: String,
    /// The folder.
    pub memory: Memory,
    /// What its orchestrators do, the first time they come to a place of the code.
    pub turns: BTreeMap<String, Sabotage>,
    /// How often an activity kills its function.
    pub aborts: u32,
    /// Whether the worker of its `gpu` activities is going to be killed: they wait for it.
    pub doomed: bool,
}

impl ChaosSpec {
    fn once(&self, what: &str) -> bool {
        self.memory.first(&format!("{}-{what}", self.name))
    }

    /// A place in the workflow's code. Reading files here is no workflow's business; a crash is not either.
    fn at(&self, place: &str) {
        let Some(sabotage) = self.turns.get(place) else { return };
        if self.once(&format!("turn-{place}")) {
            match sabotage {
                Sabotage::Abort => std::process::abort(),
                Sabotage::Hang => loop {
                    std::thread::park();
                },
            }
        }
    }

    /// G11: epochs rise, and nobody begins while another is at it. One that was killed in the middle has written no end; its
    /// process is gone then, and no number is given to two processes within a test.
    pub fn check_charges(&self) {
        let notes = self.memory.notes(&format!("{}-charged", self.name));
        let mut last: Option<(u64, &str)> = None;
        let mut open = None;
        for note in &notes {
            let parts: Vec<_> = note.split(' ').collect();
            let (what, epoch, process) = (parts[0], parts[1].parse::<u64>().unwrap(), parts[2]);
            match what {
                "begin" => {
                    assert!(last.is_none_or(|(before, _)| epoch > before), "epochs rise: {notes:?}");
                    (last, open) = (Some((epoch, process)), Some(epoch));
                }
                _ => {
                    assert_eq!(open.take(), Some(epoch), "an end belongs to the last begin: {notes:?}");
                    assert_eq!(last.map(|(_, by)| by), Some(process), "{notes:?}");
                }
            }
        }
        assert!(open.is_none() && !notes.is_empty(), "the last one ended: {notes:?}");
    }

    /// Waits to be killed, the first time.
    async fn meet_your_end(
        &self,
        what: &str,
        ctx: &ActivityContext,
        progress: u32,
    ) -> Result<(), ActivityError> {
        let marker = format!("{}-{what}", self.name);
        if !self.doomed || self.memory.has(&marker) {
            return Ok(());
        }
        // The lease has the progress before anybody is told to kill.
        for _ in 0..40 {
            pause(Duration::from_millis(100)).await;
            ctx.heartbeat(&progress)?;
        }
        self.memory.first(&marker);
        for _ in 0..DOOMED.as_millis() / 200 {
            pause(Duration::from_millis(200)).await;
            ctx.heartbeat(&progress)?;
        }
        Ok(())
    }
}

/// What [`chaos`] returns: the same whatever goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is one feature's result")]
pub struct ChaosResult {
    pub squares: Vec<u64>,
    pub flaky: String,
    pub aborted: u32,
    pub late: Vec<String>,
    pub panicked: String,
    pub told: String,
    pub steps: u32,
    pub charged: String,
}

/// What the run waits for.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Go {
    /// Who says so.
    pub by: String,
}

/// Uses everything.
#[workflow(accepts(Go))]
pub async fn chaos(ctx: WorkflowContext, spec: ChaosSpec) -> Result<ChaosResult, WorkflowError> {
    spec.at("begin");
    let squares = try_join_all((0..4).map(|n| ctx.activity(step, n))).await?;
    let squares = squares.into_iter().map(|n| n * n).collect();
    spec.at("joined");
    let (flaky, aborted, slow, blocked, panicked) = try_join!(
        ctx.activity(flaky, spec.name.clone()),
        ctx.activity(aborts, spec.clone()),
        ctx.activity(late, (spec.clone(), false)),
        ctx.activity(late, (spec.clone(), true)),
        ctx.activity(panics, spec.clone()),
    )?;
    ctx.sleep(secs(1)).await?;
    spec.at("slept");
    let told = ctx.signals::<Go>().recv().await?.by;
    spec.at("told");
    let (steps, charged) =
        try_join!(ctx.activity(train, (spec.clone(), 5)), ctx.activity(charge, spec.clone()))?;
    Ok(ChaosResult { squares, flaky, aborted, late: vec![slow, blocked], panicked, told, steps, charged })
}

/// Functions, a timer, a signal, the fleet; nothing goes wrong by itself.
#[workflow(accepts(Go))]
pub async fn journey(
    ctx: WorkflowContext,
    spec: ChaosSpec,
) -> Result<(u64, String, u32, String), WorkflowError> {
    let mut sum = 0;
    for n in 1..=3 {
        sum += ctx.activity(step, n).await?;
    }
    ctx.sleep(millrace::millis(500)).await?;
    let told = ctx.signals::<Go>().recv().await?.by;
    let (steps, charged) = try_join!(ctx.activity(train, (spec.clone(), 5)), ctx.activity(charge, spec))?;
    Ok((sum, told, steps, charged))
}

/// Activities one after the other; the sum of their numbers.
#[workflow]
pub async fn chain(ctx: WorkflowContext, steps: u64) -> Result<u64, WorkflowError> {
    let mut sum = 0;
    for n in 1..=steps {
        sum += ctx.activity(step, n).await?;
    }
    Ok(sum)
}

/// Activities side by side; the sum of their numbers.
#[workflow]
pub async fn fan_out(ctx: WorkflowContext, n: u64) -> Result<u64, WorkflowError> {
    Ok(try_join_all((1..=n).map(|n| ctx.activity(step, n))).await?.into_iter().sum())
}

/// Takes a large text and asks for another: how long both are.
#[workflow]
pub async fn large(ctx: WorkflowContext, text: String, size: usize) -> Result<(usize, usize), WorkflowError> {
    let answer = ctx.activity(write, size).await?;
    Ok((text.len(), answer.len()))
}

/// Sleeps.
#[workflow]
pub async fn nap(ctx: WorkflowContext, minutes: u64) -> Result<String, WorkflowError> {
    ctx.sleep(millrace::minutes(minutes)).await?;
    Ok("rested".into())
}

/// One activity that kills every worker.
#[workflow]
pub async fn doomed(ctx: WorkflowContext, spec: ChaosSpec) -> Result<String, WorkflowError> {
    match ctx.activity(aborts, spec).max_attempts(1).await {
        Ok(times) => Ok(format!("it lived after {times}")),
        Err(failure) => Ok(format!("{failure}")),
    }
}

/// One activity of the fleet.
#[workflow]
pub async fn training(ctx: WorkflowContext, spec: ChaosSpec, steps: u32) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(train, (spec, steps)).await?)
}

/// Returns its number.
#[activity]
pub async fn step(n: u64) -> Result<u64, ActivityError> {
    Ok(n)
}

/// A text of this many bytes.
#[activity]
pub async fn write(size: usize) -> Result<String, ActivityError> {
    Ok("x".repeat(size))
}

/// Fails twice, and may be tried again.
#[activity(initial_interval = "200ms")]
pub async fn flaky(ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
    if ctx.attempt < 3 {
        return Err(ApplicationFailure::new("Flaky", format!("attempt {}", ctx.attempt)).into());
    }
    Ok(name.to_uppercase())
}

/// Kills its process, as often as it is told to; says how often that was.
#[activity]
pub async fn aborts(spec: ChaosSpec) -> Result<u32, ActivityError> {
    if spec.memory.first_times(&format!("{}-abort", spec.name), spec.aborts) {
        std::process::abort();
    }
    Ok(spec.aborts)
}

/// Takes longer than its function has, the first time; it waits, or it blocks its thread.
#[activity(initial_interval = "200ms")]
pub async fn late(ctx: ActivityContext, spec: ChaosSpec, blocks: bool) -> Result<String, ActivityError> {
    if spec.once(&format!("late-{blocks}")) {
        if !blocks {
            return Err(ctx.stopped().await.into());
        }
        for _ in 0..1_000 {
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
    Ok(format!("blocks: {blocks}"))
}

/// Panics, the first time.
#[activity(initial_interval = "200ms")]
#[allow(clippy::panic, reason = "this is what it is for")]
pub async fn panics(spec: ChaosSpec) -> Result<String, ActivityError> {
    if spec.once("panic") {
        panic!("the first attempt panics");
    }
    Ok("calm".into())
}

/// Counts, and beats with what it has counted. One that follows another goes on where that was.
#[activity(task_queue = "gpu", start_to_close = "5m", heartbeat = "9s")]
pub async fn train(ctx: ActivityContext, spec: ChaosSpec, steps: u32) -> Result<u32, ActivityError> {
    let begin: u32 = ctx.progress().unwrap_or(0);
    spec.memory.note(&format!("{}-trained", spec.name), &format!("attempt {} from {begin}", ctx.attempt))?;
    for step in begin..steps {
        ctx.heartbeat(&step)?;
        if step == 2 {
            spec.meet_your_end("training", &ctx, step).await?;
        }
        pause(Duration::from_millis(50)).await;
    }
    Ok(steps)
}

/// Writes down when it begins and ends, under which epoch, in which process.
#[activity(task_queue = "gpu", start_to_close = "5m", exclusive)]
pub async fn charge(ctx: ActivityContext, spec: ChaosSpec) -> Result<String, ActivityError> {
    let (file, process) = (format!("{}-charged", spec.name), std::process::id());
    spec.memory.note(&file, &format!("begin {} {process}", ctx.epoch()))?;
    spec.meet_your_end("charging", &ctx, 0).await?;
    pause(Duration::from_millis(500)).await;
    spec.memory.note(&file, &format!("end {} {process}", ctx.epoch()))?;
    Ok("charged".into())
}

#[allow(clippy::disallowed_methods, reason = "an activity may take its time")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Everything that can run.
pub fn app() -> App {
    App::new()
        .workflow(chaos)
        .workflow(journey)
        .workflow(chain)
        .workflow(fan_out)
        .workflow(large)
        .workflow(nap)
        .workflow(doomed)
        .workflow(training)
        .activity(step)
        .activity(write)
        .activity(flaky)
        .activity(aborts)
        .activity(late)
        .activity(panics)
        .activity(train)
        .activity(charge)
        .workflow(language::language)
        .workflow(language::grown_up)
        .workflow(language::listener)
        .workflow(language::sulking)
        .workflow(language::patience)
        .workflow(language::wanderer)
        .activity(language::no_threes)
        .activity(language::somebody_else)
}
