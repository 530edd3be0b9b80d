//! Trains, tests and deploys without a workflow, to measure the parts. To be replaced by the workflow.

use anyhow::ensure;
use std::time::Instant;
use train_test_deploy::classifier::{Model, fit_class};
use train_test_deploy::digits::{CLASSES, Digits};
use train_test_deploy::registry::Registry;

const THRESHOLD: f64 = 0.93;

#[allow(clippy::disallowed_methods, reason = "a stopwatch for people; nothing is decided by it")]
fn main() -> anyhow::Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| "registry".into());
    let split = Digits::embedded()?.split();
    let mut checkpoint = Vec::new();
    for digit in 0..CLASSES {
        let start = Instant::now();
        checkpoint.push(fit_class(digit, &split.training)?);
        println!("fitted {digit} in {} ms", start.elapsed().as_millis());
    }
    let model = Model::from_classes(checkpoint)?;
    let accuracy = model.accuracy(&split.held_out);
    println!("accuracy {accuracy:.4} on {} held-out digits", split.held_out.len());
    ensure!(accuracy >= THRESHOLD, "accuracy {accuracy:.4} is below {THRESHOLD}");

    let registry = Registry::open(root)?;
    let artifact = model.to_json()?;
    let id = registry.deploy(&artifact)?;
    let read: Model = serde_json::from_slice(&registry.artifact(&id)?)?;
    ensure!(registry.current()?.as_ref() == Some(&id) && read == model, "deployed something else");
    println!("deployed {} ({} bytes)", registry.artifact_path(&id).display(), artifact.len());
    Ok(())
}
