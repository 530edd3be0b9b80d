//! Programs made by chance: trees of activities, timers, waits, sequences, joins, races and children; and the workflow that
//! runs any of them with the SDK, as a user would have written it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use millrace::prelude::*;
use millrace_conformance::Rng;
use millrace_engine::ports::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::workflows::{Probe, Time};

/// A program, or a part of one. Each gives a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// An activity that takes so many seconds.
    Work(u64),
    /// An activity that fails for good.
    Fail(u64),
    /// A timer of so many seconds.
    Sleep(u64),
    /// A value that somebody tells the workflow, in this slot.
    Wait(u32),
    /// One after the other.
    Seq(Vec<Program>),
    /// Side by side, all of them.
    Join(Vec<Program>),
    /// Side by side, the first that ends; the others are given up.
    Race(Vec<Program>),
    /// A child workflow that runs it.
    Child(Box<Program>),
}

impl Program {
    /// A program of this chance, with so many levels at most.
    pub fn random(rng: &mut Rng, depth: u32) -> Self {
        let mut slots = 0;
        Self::part(rng, depth, Some(&mut slots))
    }

    /// `slots` counts the waits; without it there are none: nobody tells children anything.
    fn part(rng: &mut Rng, depth: u32, mut slots: Option<&mut u32>) -> Self {
        let leaf = depth == 0 || rng.below(4) == 0;
        match (leaf, rng.below(if leaf { 5 } else { 4 })) {
            (true, 0 | 1) => Self::Work(rng.below(200)),
            (true, 2) => Self::Fail(rng.below(60)),
            (true, 3) => {
                let longest = if rng.below(4) == 0 { 3_000 } else { 120 };
                Self::Sleep(1 + rng.below(longest))
            }
            (true, _) => match slots {
                Some(slots) => {
                    *slots += 1;
                    Self::Wait(*slots)
                }
                None => Self::Work(1),
            },
            (false, kind) => {
                if kind == 3 {
                    return Self::Child(Box::new(Self::part(rng, depth - 1, None)));
                }
                let parts = (0..1 + rng.below(4)).map(|_| Self::part(rng, depth - 1, slots.as_deref_mut()));
                match kind {
                    0 => Self::Seq(parts.collect()),
                    1 => Self::Join(parts.collect()),
                    _ => Self::Race(parts.collect()),
                }
            }
        }
    }

    /// How many slots it waits for, children not counted.
    pub fn slots(&self) -> u32 {
        match self {
            Self::Wait(_) => 1,
            Self::Seq(parts) | Self::Join(parts) | Self::Race(parts) => parts.iter().map(Self::slots).sum(),
            Self::Work(_) | Self::Fail(_) | Self::Sleep(_) | Self::Child(_) => 0,
        }
    }
}

/// Something for a slot.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Tell {
    /// Which.
    pub slot: u32,
    /// What.
    pub value: u64,
}

type Told = StateCell<BTreeMap<u32, u64>>;

#[activity(start_to_close = "30m", initial_interval = "2s")]
async fn work(ctx: ActivityContext, time: Shared<Time>, seconds: u64) -> Result<u64, ActivityError> {
    if seconds.is_multiple_of(7) && ctx.attempt == 1 {
        return Err("once more".into());
    }
    time.pass(secs(seconds)).await;
    Ok(seconds * 10)
}

#[activity]
async fn fail(time: Shared<Time>, seconds: u64) -> Result<u64, ActivityError> {
    time.pass(secs(seconds)).await;
    Err(ApplicationFailure::new("Broken", "as asked").non_retryable().into())
}

/// Runs a program.
#[workflow(accepts(Tell))]
pub async fn interpreted(ctx: WorkflowContext, program: Program) -> Result<Value, WorkflowError> {
    let told = ctx.state(BTreeMap::new()).on_signal(|told, Tell { slot, value }| {
        told.insert(slot, value);
    });
    Ok(run(ctx, told, program).await)
}

fn run(ctx: WorkflowContext, told: Told, program: Program) -> BoxFuture<'static, Value> {
    async move {
        match program {
            Program::Work(seconds) => value(ctx.activity(work, seconds).await),
            Program::Fail(seconds) => value(ctx.activity(fail, seconds).await),
            Program::Sleep(seconds) => {
                ctx.sleep(secs(seconds)).await.map_or_else(canceled, |()| json!("slept"))
            }
            Program::Wait(slot) => {
                let there = told.until(move |told| told.contains_key(&slot)).await;
                there.map_or_else(canceled, |()| json!(told.read(|told| told.get(&slot).copied())))
            }
            Program::Child(program) => match ctx.child(interpreted, *program).await {
                Ok(value) => json!({ "child": value }),
                Err(failure) if failure.is_canceled() => json!("canceled"),
                Err(_) => json!("failed"),
            },
            Program::Seq(parts) => {
                let mut values = Vec::new();
                for part in parts {
                    values.push(run(ctx.clone(), told.clone(), part).await);
                }
                json!(values)
            }
            Program::Join(parts) => {
                json!(join_all(parts.into_iter().map(|part| run(ctx.clone(), told.clone(), part))).await)
            }
            Program::Race(parts) => {
                let parts = parts.into_iter().map(|part| run(ctx.clone(), told.clone(), part));
                first(parts.collect()).await
            }
        }
    }
    .boxed()
}

/// The first that ends, in the order in which they stand; the others are dropped.
async fn first(mut parts: Vec<BoxFuture<'static, Value>>) -> Value {
    poll_fn(|cx| {
        let ended = |(i, part): (usize, &mut BoxFuture<'static, Value>)| match part.poll_unpin(cx) {
            Poll::Ready(value) => Some(json!({ "first": i, "value": value })),
            Poll::Pending => None,
        };
        parts.iter_mut().enumerate().find_map(ended).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

fn value(result: Result<u64, ActivityFailure>) -> Value {
    match result {
        Ok(value) => json!(value),
        Err(failure) if failure.is_canceled() => json!("canceled"),
        Err(_) => json!("failed"),
    }
}

fn canceled(_: Canceled) -> Value {
    json!("canceled")
}

/// What processes of a world of programs can run.
pub fn app(clock: Arc<dyn Clock>, _probe: Arc<Probe>) -> App {
    App::new().share(Time(clock)).workflow(interpreted).activity(work).activity(fail)
}
