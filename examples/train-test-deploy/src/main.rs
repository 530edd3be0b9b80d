//! Trains a classifier of handwritten digits, tests it, deploys it. Kill it with `kill -9` at any moment and run it
//! again: it goes on where it stopped. Without a verb it does its job; `--help` lists the verbs.

use std::process::ExitCode;

use clap::Args;
use millrace::verbs::AnyError;
use millrace::{Job, Main};
use train_test_deploy::registry::Registry;
use train_test_deploy::workflow::{ModelSpec, app, train_test_deploy};

#[derive(Args)]
struct Options {
    /// The workflow id; a run of it that exists is gone on with
    #[arg(long, default_value = "digits-1")]
    id: String,
    /// The least accuracy on held-out digits that is deployed, 0.0 to 1.0
    #[arg(long, default_value_t = 0.9)]
    threshold: f64,
    /// Wait for the signal `approve` before the model is deployed
    #[arg(long)]
    approval: bool,
}

fn main() -> ExitCode {
    Main::new(|data| Registry::open(data.join("registry")).map(app)).job(job).main()
}

async fn job(job: Job, options: Options) -> Result<(), AnyError> {
    let spec = ModelSpec { threshold: options.threshold, approval: options.approval };
    let run = job.client.start(train_test_deploy, &options.id, spec).or_existing().await?;
    let deployed = job.follow(&run).await?;
    let report = &deployed.report;
    println!("accuracy {:.4} on {} held-out digits", report.accuracy, report.held_out);
    println!("artifact {}", String::from(deployed.artifact));
    println!("{}", deployed.message);
    Ok(())
}
