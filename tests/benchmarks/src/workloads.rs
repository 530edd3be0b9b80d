//! The workloads of the benchmark.

use std::time::Instant;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use millrace::{Message, Workflow, WorkflowRef};
use millrace_core::{Payload, WorkflowId};
use millrace_engine::{Client, Outcome};
use millrace_format::message::{self, InboxMessage};
use serde_json::json;

use crate::measure::{Percentiles, cpu_time, now};
use crate::report::{Calls, Row};
use crate::rig::Rig;
use crate::workflows::{Tick, chain, children, fan_out, listen, local, long_run, map, take_times};

/// How much of each workload is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Runs of ten steps, one at a time.
    pub(crate) chains: u64,
    /// Runs of ten steps, 200 in flight.
    pub(crate) parallel_runs: u64,
    /// Times the fan-out is repeated.
    pub(crate) fan_outs: u64,
    /// Times the long run is repeated.
    pub(crate) long_runs: u64,
    /// Times the signals are repeated.
    pub(crate) signal_rounds: u64,
    /// Times the runs of local activities, of children and of a map are repeated.
    pub(crate) language: u64,
}

const STEPS: u64 = 10;
const IN_FLIGHT: usize = 200;
const WIDTH: u64 = 1_000;
const LONG: u64 = 2_000;
const SIGNALS: u64 = 1_000;
const ITEMS: u64 = 10_000;
const CHILDREN: u64 = 100;

/// Measures what a workload uses while it runs, and makes its row.
struct Meter<'a> {
    rig: &'a Rig,
    begin: Instant,
    cpu: std::time::Duration,
    counts: millrace_engine::ports::CallCounts,
}

impl<'a> Meter<'a> {
    fn start(rig: &'a Rig) -> Self {
        Self { rig, begin: now(), cpu: cpu_time(), counts: rig.counts() }
    }

    fn row(self, name: &'static str, unit: &'static str, steps: u64, samples: Vec<f64>) -> Row {
        let wall_s = self.begin.elapsed().as_secs_f64();
        let cpu_s = (cpu_time() - self.cpu).as_secs_f64();
        Row {
            name,
            unit,
            steps,
            sample: Percentiles::of(samples),
            steps_per_s: steps as f64 / wall_s,
            cpu_s_per_1000: cpu_s * 1_000.0 / steps as f64,
            calls: Calls::per_step(self.rig.counts() - self.counts, steps),
        }
    }
}

pub(crate) fn name_of<M, F: WorkflowRef<M>>(_workflow: F) -> &'static str {
    F::Workflow::NAME
}

async fn start(client: &Client, workflow: &str, id: &str, input: u64) -> anyhow::Result<()> {
    let body = json!({"type": "start", "workflow": workflow, "id": id, "input": input});
    Ok(client.send_raw(body.to_string()).await?)
}

async fn finish(client: &Client, id: &str) -> anyhow::Result<Payload> {
    let id: WorkflowId = id.parse()?;
    loop {
        let changed = client.changed(&id); // registered before looking, so that nothing is missed in between
        match client.result(&id, None).await {
            Ok(Outcome::Completed(result)) => return Ok(result),
            Ok(other) => bail!("`{id}` did not complete: {other:?}"),
            // The start is in the inbox, not yet in the log.
            Err(millrace_engine::ClientError::NotFound(_)) => changed.await,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn run_one(client: &Client, workflow: &str, id: &str, input: u64) -> anyhow::Result<f64> {
    let begin = now();
    start(client, workflow, id, input).await?;
    finish(client, id).await?;
    Ok(begin.elapsed().as_secs_f64() * 1_000.0)
}

/// Runs of ten steps, one at a time: what a step costs when nothing else is there.
pub(crate) fn chains(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    rig.run(run_one(&rig.client, name_of(chain), "warm-up", STEPS))?;
    let meter = Meter::start(rig);
    let mut samples = Vec::new();
    for n in 0..sizes.chains {
        let wall_ms = rig.run(run_one(&rig.client, name_of(chain), &format!("chain-{n}"), STEPS))?;
        samples.push(wall_ms / STEPS as f64);
    }
    Ok(meter.row("chain", "ms per step", sizes.chains * STEPS, samples))
}

/// Many runs of ten steps, 200 in flight: what the engine gets through.
pub(crate) fn parallel_runs(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    let meter = Meter::start(rig);
    let runs = (0..sizes.parallel_runs).map(|n| {
        let client = rig.client.clone();
        async move { run_one(&client, name_of(chain), &format!("parallel-{n}"), STEPS).await }
    });
    let samples = rig.run(futures::stream::iter(runs).buffer_unordered(IN_FLIGHT).try_collect())?;
    Ok(meter.row("parallel_runs", "ms per run", sizes.parallel_runs * STEPS, samples))
}

/// One run of a thousand activities side by side.
pub(crate) fn fan_outs(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    let meter = Meter::start(rig);
    let mut samples = Vec::new();
    for n in 0..sizes.fan_outs {
        let wall_ms = rig.run(run_one(&rig.client, name_of(fan_out), &format!("fan-out-{n}"), WIDTH))?;
        samples.push(wall_ms / 1_000.0);
    }
    Ok(meter.row("fan_out", "s per run", sizes.fan_outs * WIDTH, samples))
}

/// A thousand local activities, ten in a turn, each ten followed by an activity of the ordinary kind.
pub(crate) fn locals(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    repeated(rig, sizes, ("local", name_of(local), WIDTH))
}

/// One map over ten thousand items.
pub(crate) fn maps(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    repeated(rig, sizes, ("map", name_of(map), ITEMS))
}

/// One run with a hundred children side by side that end at once.
pub(crate) fn families(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    repeated(rig, sizes, ("children", name_of(children), CHILDREN))
}

fn repeated(
    rig: &Rig,
    sizes: Sizes,
    (name, workflow, width): (&'static str, &str, u64),
) -> anyhow::Result<Row> {
    let meter = Meter::start(rig);
    let mut samples = Vec::new();
    for n in 0..sizes.language {
        let wall_ms = rig.run(run_one(&rig.client, workflow, &format!("{name}-{n}"), width))?;
        samples.push(wall_ms / 1_000.0);
    }
    Ok(meter.row(name, "s per run", sizes.language * width, samples))
}

/// One run of two thousand steps; also how much slower its last hundred steps are than its first.
pub(crate) fn long_runs(rig: &Rig, sizes: Sizes) -> anyhow::Result<(Row, f64)> {
    let meter = Meter::start(rig);
    let (mut samples, mut ratios) = (Vec::new(), Vec::new());
    for n in 0..sizes.long_runs {
        take_times();
        rig.run(run_one(&rig.client, name_of(long_run), &format!("long-{n}"), LONG))?;
        let times = take_times();
        let steps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = |steps: &[f64]| steps.iter().sum::<f64>() / steps.len() as f64;
        let (first, last) = (steps.first_chunk::<100>(), steps.last_chunk::<100>());
        let (first, last) = (first.context("too few steps")?, last.context("too few steps")?);
        ratios.push(mean(last) / mean(first));
        samples.extend(steps);
    }
    Ok((meter.row("long_run", "ms per step", sizes.long_runs * LONG, samples), Percentiles::of(ratios).p50))
}

/// A thousand signals to one run.
pub(crate) fn signals(rig: &Rig, sizes: Sizes) -> anyhow::Result<Row> {
    let meter = Meter::start(rig);
    let mut samples = Vec::new();
    for n in 0..sizes.signal_rounds {
        let id = format!("signals-{n}");
        let wall_s = rig.run(send_signals(&rig.client, &id))?;
        samples.push(SIGNALS as f64 / wall_s);
    }
    Ok(meter.row("signals", "signals/s", sizes.signal_rounds * SIGNALS, samples))
}

/// From the first signal's sending until the run has taken them all, sixteen senders side by side.
async fn send_signals(client: &Client, id: &str) -> anyhow::Result<f64> {
    start(client, name_of(listen), id, SIGNALS).await?;
    let workflow_id: WorkflowId = id.parse()?;
    loop {
        let changed = client.changed(&workflow_id);
        if client.head(&workflow_id, None).await.is_ok() {
            break;
        }
        changed.await;
    }
    let begin = now();
    let sends = (0..SIGNALS).map(|n| {
        let input = Payload::of(&Tick { n });
        let (client, id) = (client.clone(), workflow_id.clone());
        async move {
            let signal = message::SignalMessage {
                request_id: Some(client.new_request_id()),
                ..message::SignalMessage::new(id, Tick::NAME.to_owned(), input?, None)
            };
            anyhow::Ok(client.send(&InboxMessage::Signal(signal)).await?)
        }
    });
    let sent: Vec<anyhow::Result<()>> = futures::stream::iter(sends).buffer_unordered(16).collect().await;
    sent.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    finish(client, id).await?;
    Ok(begin.elapsed().as_secs_f64())
}
