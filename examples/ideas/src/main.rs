//! `cargo run -p millrace-ideas` runs all scenarios in an engine of its own, `-- --idea scopes` one of them. The verbs are
//! those of every program:
//!
//! ```sh
//! cargo run -q -p millrace-ideas -- dev
//! cargo run -q -p millrace-ideas -- start TranscribeMeeting --id monday --input 4
//! cargo run -q -p millrace-ideas -- replay examples/ideas/histories/*.ndjson
//! ```

use std::process::ExitCode;

use millrace::{App, Job, Main};
use millrace_ideas::{app, ideas};

#[derive(clap::Args)]
struct Options {
    /// Only this idea; may be given more than once
    #[arg(long, value_name = "NAME")]
    idea: Vec<String>,
}

fn main() -> ExitCode {
    Main::new(|_| Ok::<App, std::convert::Infallible>(app())).job(run).main()
}

async fn run(job: Job, options: Options) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let known = ideas();
    if let Some(unknown) = options.idea.iter().find(|name| known.iter().all(|idea| idea.name != **name)) {
        let names: Vec<_> = known.iter().map(|idea| idea.name).collect();
        return Err(format!("--idea: there is no `{unknown}`, but {}", names.join(", ")).into());
    }
    let wanted = |name: &str| options.idea.is_empty() || options.idea.iter().any(|idea| idea == name);
    for idea in known.into_iter().filter(|idea| wanted(idea.name)) {
        (idea.scenario)(&job.client).await.map_err(|error| format!("{}: {error:#}", idea.name))?;
        println!("{}", idea.name);
    }
    Ok(())
}
