//! **A map that tolerates failures**: one activity over many items, of which some may fail.
//!
//! When: a dataset is embedded, moderated, converted; a few broken files are no reason to stop, many are. Each item is
//! tried again by the activity's policy first; with one failure more than tolerated the rest is canceled.
//!
//! Costs: 1,000 items: 110 PUT and 2 messages each. `docs/language.md`, Work.

use anyhow::{bail, ensure};
use millrace::{Client, RunError, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dataset {
    pub images: Vec<String>,
    /// How many may be broken.
    pub tolerated: usize,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Moderated {
    pub safe: Vec<String>,
    pub broken: Vec<String>,
}

#[activity(start_to_close = "1m", max_attempts = 3)]
pub async fn is_safe(image: String) -> Result<bool, ActivityError> {
    if image.ends_with(".tmp") {
        return Err(ApplicationFailure::new("NotAnImage", image).non_retryable().into());
    }
    Ok(!image.contains("weapon"))
}

#[workflow]
pub async fn moderate_dataset(ctx: WorkflowContext, dataset: Dataset) -> Result<Moderated, WorkflowError> {
    let Dataset { images, tolerated } = dataset;
    let answers = ctx.map(is_safe, images.clone()).concurrency(8).tolerate(tolerated).await?;
    let (mut safe, mut broken) = (Vec::new(), Vec::new());
    for (image, answer) in images.into_iter().zip(answers) {
        match answer {
            Ok(true) => safe.push(image),
            Ok(false) => {}
            Err(_) => broken.push(image),
        }
    }
    Ok(Moderated { safe, broken })
}

pub fn app(app: App) -> App {
    app.workflow(moderate_dataset).activity(is_safe)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let images: Vec<_> = ["cat.png", "weapon.png", "half.tmp", "dog.png", "x.tmp"].map(String::from).into();
    let dataset = Dataset { images: images.clone(), tolerated: 2 };
    let moderated = client.start(moderate_dataset, "pets", dataset).await?.result().await?;
    ensure!((moderated.safe.len(), moderated.broken.len()) == (2, 2), "{moderated:?}");

    let strict = client.start(moderate_dataset, "pets-strict", Dataset { images, tolerated: 1 }).await?;
    let Err(RunError::Failed(failure)) = strict.result().await else { bail!("two are broken, one may be") };
    ensure!(failure.is("TooManyFailures"), "{failure}");
    Ok(())
}
