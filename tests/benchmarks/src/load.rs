//! A heap of runs at once, and a stream of them for an hour: what becomes of memory, and of the time that a step takes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Args;
use futures::StreamExt;
use hdrhistogram::Histogram;
use millrace::prelude::*;
use millrace_core::WorkflowId;
use millrace_engine::{Client, Outcome};
use serde::Serialize;
use serde_json::json;

use crate::measure::{cpu_time, now, peak_rss_mib, rss_mib};
use crate::rig::Rig;
use crate::workloads::name_of;

/// How many starts are sent side by side.
const SENDERS: usize = 64;
/// How many results are read side by side.
const READERS: usize = 16;
/// How often a stream sends what is due.
const BEAT: Duration = Duration::from_millis(20);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Many runs, started as fast as the engine takes them, then drained.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// How many runs.
    #[arg(long, default_value_t = 100_000)]
    runs: u64,
    /// How many steps each has, one after the other.
    #[arg(long, default_value_t = 10)]
    steps: u64,
}

/// A steady stream of runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct Soak {
    /// For how long runs are started.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many runs are started in a second.
    #[arg(long, default_value_t = 400)]
    rate: u64,
    /// How many steps each has, one after the other.
    #[arg(long, default_value_t = 10)]
    steps: u64,
}

/// What the activities saw since the last look.
struct Seen {
    /// When each run's last step ended. The steps of one run are far fewer than the runs between them.
    last: BTreeMap<u64, Instant>,
    /// Microseconds from the end of a step to the end of its run's next.
    latencies: Histogram<u64>,
    steps: u64,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

fn seen<T>(look: impl FnOnce(&mut Seen) -> T) -> T {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    look(seen.get_or_insert_with(|| Seen { last: BTreeMap::new(), latencies: microseconds(), steps: 0 }))
}

/// Up to an hour, to a hundredth.
fn microseconds() -> Histogram<u64> {
    let mut histogram = Histogram::new(2).unwrap_or_else(|_| unreachable!("two digits are allowed"));
    histogram.auto(true);
    histogram
}

/// A step: which run, which step of how many.
#[activity]
pub(crate) async fn timed_step((run, step, steps): (u64, u64, u64)) -> Result<u64, ActivityError> {
    let ended = now();
    seen(|seen| {
        let before = if step + 1 < steps { seen.last.insert(run, ended) } else { seen.last.remove(&run) };
        if let Some(before) = before {
            let _ = seen.latencies.record(u64::try_from((ended - before).as_micros()).unwrap_or(u64::MAX));
        }
        seen.steps += 1;
    });
    Ok(step)
}

/// Steps one after the other, which tell how long they took.
#[workflow]
pub(crate) async fn timed_chain(
    ctx: WorkflowContext,
    (run, steps): (u64, u64),
) -> Result<u64, WorkflowError> {
    for step in 0..steps {
        ctx.activity(timed_step, (run, step, steps)).await?;
    }
    Ok(run)
}

/// How long steps took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1_000.0;
        Self {
            p50: ms(latencies.value_at_quantile(0.5)),
            p99: ms(latencies.value_at_quantile(0.99)),
            max: ms(latencies.max()),
        }
    }
}

/// What a minute of a stream, or all of a load, looked like.
#[derive(Clone, Copy, Debug, Serialize)]
struct Stretch {
    /// Seconds since the beginning, at its end.
    at_s: f64,
    started: u64,
    steps: u64,
    /// The most steps that were still to be made.
    backlog: u64,
    step_ms: Latency,
    /// The most memory seen in it, in MiB.
    rss_mib: f64,
}

/// Looks at the engine from outside while it works.
struct Watch<'a> {
    rig: &'a Rig,
    begin: Instant,
    steps_per_run: u64,
    started: u64,
    steps: u64,
    backlog: u64,
    rss_mib: f64,
}

impl<'a> Watch<'a> {
    fn start(rig: &'a Rig, steps_per_run: u64) -> Self {
        Self { rig, begin: now(), steps_per_run, started: 0, steps: 0, backlog: 0, rss_mib: rss_mib() }
    }

    fn look(&mut self) {
        self.rss_mib = self.rss_mib.max(rss_mib());
        self.steps = seen(|seen| seen.steps);
        self.backlog = self.backlog.max(self.started * self.steps_per_run - self.steps);
    }

    /// Ends a stretch; the next begins.
    fn stretch(&mut self) -> Stretch {
        self.look();
        let latencies = seen(|seen| std::mem::replace(&mut seen.latencies, microseconds()));
        let stretch = Stretch {
            at_s: self.begin.elapsed().as_secs_f64(),
            started: self.started,
            steps: self.steps,
            backlog: self.backlog,
            step_ms: Latency::of(&latencies),
            rss_mib: self.rss_mib,
        };
        (self.backlog, self.rss_mib) = (0, rss_mib());
        stretch
    }

    /// Until all that was started has made its steps.
    #[allow(clippy::disallowed_methods, reason = "a benchmark waits in real time")]
    async fn drain(&mut self) -> anyhow::Result<()> {
        let (mut last, mut moved) = (0, now());
        loop {
            self.look();
            if self.steps >= self.started * self.steps_per_run {
                return Ok(());
            }
            if self.steps > last {
                (last, moved) = (self.steps, now());
            }
            ensure!(moved.elapsed() < Duration::from_secs(60), "no step for a minute: {last} made");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads every run's result: none is missing, none is another's.
    async fn check(&self) -> anyhow::Result<()> {
        let client = &self.rig.client;
        let results = futures::stream::iter(0..self.started)
            .map(|run| async move {
                let id: WorkflowId = id(run).parse()?;
                match client.result(&id, None).await? {
                    Outcome::Completed(result) if result.read::<u64>()? == run => anyhow::Ok(()),
                    other => bail!("`{id}` did not complete with its number: {other:?}"),
                }
            })
            .buffer_unordered(READERS);
        results.collect::<Vec<_>>().await.into_iter().collect()
    }
}

fn id(run: u64) -> String {
    format!("load-{run}")
}

async fn start(client: &Client, run: u64, steps: u64) -> anyhow::Result<()> {
    let workflow = name_of(timed_chain);
    let start = json!({"type": "start", "workflow": workflow, "id": id(run), "input": [run, steps]});
    Ok(client.send_raw(start.to_string()).await?)
}

async fn start_all(client: &Client, runs: std::ops::Range<u64>, steps: u64) -> anyhow::Result<()> {
    let starts = runs.map(|run| start(client, run, steps));
    let mut sent = futures::stream::iter(starts).buffer_unordered(SENDERS);
    while let Some(result) = sent.next().await {
        result?;
    }
    Ok(())
}

/// Runs the load, and says what it was like.
pub(crate) fn load(rig: &Rig, load: &Load, json: bool) -> anyhow::Result<()> {
    let mut watch = Watch::start(rig, load.steps);
    let (cpu, counts) = (cpu_time(), rig.counts());
    rig.run(async {
        for chunk in 0..load.runs.div_ceil(1_000) {
            let runs = chunk * 1_000..load.runs.min((chunk + 1) * 1_000);
            watch.started = runs.end;
            start_all(&rig.client, runs, load.steps).await?;
            watch.look();
        }
        let accepted_s = watch.begin.elapsed().as_secs_f64();
        eprintln!("{} starts accepted after {accepted_s:.1} s, {} steps to go", load.runs, watch.backlog);
        watch.drain().await?;
        let whole = watch.stretch();
        let cpu_s = (cpu_time() - cpu).as_secs_f64();
        let calls = rig.counts() - counts;
        eprintln!("drained after {:.1} s; reading the results", whole.at_s);
        watch.check().await?;
        let puts = calls.puts as f64 / whole.steps as f64;
        let report = json!({
            "runs": load.runs, "steps": whole.steps, "accepted_s": accepted_s, "drained_s": whole.at_s,
            "starts_per_s": load.runs as f64 / accepted_s, "steps_per_s": whole.steps as f64 / whole.at_s,
            "most_backlog_steps": whole.backlog, "step_ms": whole.step_ms, "peak_rss_mib": peak_rss_mib(),
            "cpu_s_per_1000_steps": cpu_s * 1_000.0 / whole.steps as f64, "puts_per_step": puts,
        });
        show(&report, json);
        Ok(())
    })
}

/// Runs the stream, a line for each minute, and says what changed between its beginning and its end.
pub(crate) fn soak(rig: &Rig, soak: &Soak, json: bool) -> anyhow::Result<()> {
    let mut watch = Watch::start(rig, soak.steps);
    rig.run(async {
        let mut minutes = Vec::new();
        let mut beat = tokio::time::interval(BEAT);
        let total = soak.minutes * 60 * soak.rate;
        let mut looked = now();
        while watch.started < total {
            beat.tick().await;
            let due = (watch.begin.elapsed().as_secs_f64() * soak.rate as f64) as u64;
            let runs = watch.started..due.min(total);
            watch.started = runs.end;
            start_all(&rig.client, runs, soak.steps).await?;
            if looked.elapsed() >= LOOK {
                watch.look();
                looked = now();
            }
            if watch.begin.elapsed().as_secs() / 60 > minutes.len() as u64 {
                minutes.push(watch.stretch());
                eprintln!("{}", line(minutes.len(), minutes[minutes.len() - 1]));
            }
        }
        watch.drain().await?;
        eprintln!("drained after {:.1} s; reading the results", watch.begin.elapsed().as_secs_f64());
        watch.check().await?;
        // The first minutes fill caches.
        let of = |stretches: &[Stretch]| {
            let mut rss: Vec<_> = stretches.iter().map(|stretch| stretch.rss_mib).collect();
            rss.sort_by(f64::total_cmp);
            rss.get(rss.len() / 2).copied()
        };
        let share = (minutes.len() / 6).max(1);
        let (first, last) = (&minutes[..share.min(minutes.len())], &minutes[minutes.len().saturating_sub(share)..]);
        let report = json!({
            "runs": watch.started, "steps": watch.steps, "runs_per_s": soak.rate, "steps_per_s": soak.rate * soak.steps,
            "rss_mib_first_sixth": of(first), "rss_mib_last_sixth": of(last), "peak_rss_mib": peak_rss_mib(),
            "minutes": minutes,
        });
        show(&report, json);
        Ok(())
    })
}

fn line(minute: usize, stretch: Stretch) -> String {
    let Stretch { started, steps, backlog, step_ms, rss_mib, .. } = stretch;
    format!(
        "minute {minute}: {started} runs started, {steps} steps made, {backlog} waiting at most; a step {:.1} ms p50, \
         {:.1} p99, {:.0} at most; {rss_mib:.1} MiB",
        step_ms.p50, step_ms.p99, step_ms.max
    )
}

fn show(report: &serde_json::Value, json: bool) {
    if json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
}
