//! `cargo run -p millrace-ideas` runs all scenarios in an engine of its own, `-- --idea scopes` one of them. The verbs are
//! those of every program:
//!
//! ```sh
//! cargo run -q -p millrace-ideas -- dev
//! cargo run -q -p millrace-ideas -- start TranscribeMeeting --id monday --input 4
//! cargo run -q -p millrace-ideas -- replay examples/ideas/histories/*.ndjson
//! ```
//!
//! The verbs know the ideas that share a program. One that is alone runs in an engine of its own, in memory.

use std::process::ExitCode;

use millrace::dev::{self, Dev};
use millrace::{App, Client, Job, Main};
use millrace_ideas::{Idea, app, ideas};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(clap::Args)]
struct Options {
    /// Only this idea; may be given more than once
    #[arg(long, value_name = "NAME")]
    idea: Vec<String>,
}

fn main() -> ExitCode {
    Main::new(|_| Ok::<App, std::convert::Infallible>(app())).job(run).main()
}

async fn run(job: Job, options: Options) -> Result<(), Error> {
    let known = ideas();
    if let Some(unknown) = options.idea.iter().find(|name| known.iter().all(|idea| idea.name != **name)) {
        let names: Vec<_> = known.iter().map(|idea| idea.name).collect();
        return Err(format!("--idea: there is no `{unknown}`, but {}", names.join(", ")).into());
    }
    let wanted = |name: &str| options.idea.is_empty() || options.idea.iter().any(|idea| idea == name);
    for idea in known.into_iter().filter(|idea| wanted(idea.name)) {
        match idea.alone {
            true => run_alone(&idea).await?,
            false => run_idea(&idea, &job.client).await?,
        }
        println!("{}", idea.name);
    }
    Ok(())
}

async fn run_alone(idea: &Idea) -> Result<(), Error> {
    let engine = Dev::start(&(idea.app)(App::new()), dev::Options::in_memory())?;
    run_idea(idea, &engine.client()).await
}

async fn run_idea(idea: &Idea, client: &Client) -> Result<(), Error> {
    Ok((idea.scenario)(client).await.map_err(|error| format!("{}: {error:#}", idea.name))?)
}
