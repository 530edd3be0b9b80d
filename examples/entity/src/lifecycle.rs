//! The model's life.

use millrace::{Rejected, prelude::*};
use serde::{Deserialize, Serialize};

use crate::{Line, Point, fit};

/// How many versions are remembered beside the one in production. An entity that lives for ever must not grow for ever.
const REMEMBERED: usize = 10;

/// Wanted: a new version, trained on these points.
#[derive(Signal, Serialize, Deserialize)]
pub struct Train {
    pub points: Vec<Point>,
}

/// Wanted: this version in production. Refused if there is no such version.
#[derive(Update, Serialize, Deserialize)]
#[update(output = Version)]
pub struct Promote {
    pub version: u32,
}

/// The model is not needed any more.
#[derive(Signal, Serialize, Deserialize)]
pub struct Retire;

/// What does the version in production say?
#[derive(Query, Serialize, Deserialize)]
#[query(output = Option<f64>)]
pub struct Predict {
    pub x: f64,
}

/// What one training gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub number: u32,
    pub line: Line,
}

/// How the model stands. It is the workflow's input, too: what one run hands to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    pub trained: u32,
    pub versions: Vec<Version>,
    pub production: Option<Version>,
    /// Why the last training gave no version.
    pub last_failure: Option<String>,
    pub retired: bool,
}

impl Lifecycle {
    fn add(&mut self, line: Line) {
        self.trained += 1;
        self.versions.push(Version { number: self.trained, line });
        let forgotten = self.versions.len().saturating_sub(REMEMBERED);
        self.versions.drain(..forgotten);
        self.last_failure = None;
    }

    fn promote(&mut self, number: u32) -> Result<Version, Rejected> {
        let Some(version) = self.versions.iter().find(|version| version.number == number) else {
            return reject(format!("there is no version {number}"));
        };
        self.production = Some(version.clone());
        Ok(version.clone())
    }
}

#[workflow(accepts(Train, Promote, Retire, Predict))]
pub async fn model(ctx: WorkflowContext, life: Lifecycle) -> Result<Lifecycle, WorkflowError> {
    let trainings = ctx.signals::<Train>();
    let life = ctx
        .state(life)
        .on_update(|life, Promote { version }| life.promote(version))
        .on_signal(|life, Retire| life.retired = true)
        .on_query(|life, Predict { x }| life.production.as_ref().map(|version| version.line.at(x)))
        .published();
    loop {
        select! {
            enough = life.until(|life| life.retired || ctx.should_continue_as_new()) => enough?,
            training = trainings.recv() => match ctx.activity(fit, training?.points).await {
                Ok(line) => life.modify(|life| life.add(line)),
                Err(failure) if failure.is_canceled() => return Err(failure.into()),
                Err(failure) => life.modify(|life| life.last_failure = Some(failure.to_string())),
            }
        }
        if life.read(|life| life.retired) {
            return Ok(life.get());
        }
        if ctx.should_continue_as_new() {
            return ctx.continue_as_new(model, life.get()); // trainings that nobody has read go along
        }
    }
}
