//! **Updates, checked at once**: a request that is answered from the state, or refused without a trace.
//!
//! When: the answer needs nothing but what the workflow knows. The handler works on a copy of the state: what it refuses leaves
//! neither state nor event. (An answer that takes time: `updates_later`.)
//!
//! Costs: 1 PUT, answer included. `docs/language.md`, Messages and state.

use std::collections::BTreeMap;

use anyhow::ensure;
use millrace::{Client, RunError, prelude::*};
use serde::{Deserialize, Serialize};

/// Somebody says what is in an image. The answer is how many are still without a label.
#[derive(Update, Serialize, Deserialize)]
#[update(output = usize)]
pub struct Label {
    pub image: String,
    pub label: String,
}

type Labels = BTreeMap<String, Option<String>>;

fn missing(labels: &Labels) -> usize {
    labels.values().filter(|label| label.is_none()).count()
}

#[workflow(accepts(Label))]
pub async fn label_images(ctx: WorkflowContext, images: Vec<String>) -> Result<Labels, WorkflowError> {
    let labels: Labels = images.into_iter().map(|image| (image, None)).collect();
    let labels = ctx.state(labels).on_update(|labels, Label { image, label }| {
        let Some(slot) = labels.get_mut(&image) else {
            return reject(format!("there is no image `{image}`"));
        };
        if let Some(there) = slot.replace(label) {
            return reject(format!("`{image}` is a {there} already")); // the replaced label is back: it was a copy
        }
        Ok(missing(labels))
    });
    labels.until(|labels| missing(labels) == 0).await?;
    Ok(labels.get())
}

pub fn app(app: App) -> App {
    app.workflow(label_images)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(label_images, "labels-5", vec!["1.png".into(), "2.png".into()]).await?;
    let label = |image: &str, label: &str| run.update(Label { image: image.into(), label: label.into() });
    ensure!(label("1.png", "cat").request_id("ann-1").await? == 1);
    ensure!(label("1.png", "cat").request_id("ann-1").await? == 1, "the same request, the same answer");
    let again = label("1.png", "dog").await;
    ensure!(again == Err(RunError::Rejected("`1.png` is a cat already".into())));
    let unknown = label("9.png", "dog").await;
    ensure!(unknown == Err(RunError::Rejected("there is no image `9.png`".into())));
    ensure!(label("2.png", "dog").await? == 0);
    let labels = run.result().await?;
    ensure!(labels["1.png"].as_deref() == Some("cat"), "{labels:?}");
    let history = run.history().await?;
    let received = history.iter().filter(|event| event.kind.name() == "UpdateReceived").count();
    ensure!(received == 2, "what was refused is not there");
    Ok(())
}
