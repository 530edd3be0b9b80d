//! What `batch` takes.

use clap::{Args, Subcommand};

use super::{FilterArgs, Said};

#[derive(Debug, Subcommand)]
pub(in crate::verbs) enum BatchVerb {
    /// Ask runs to stop; their code decides how
    Cancel(BatchStopArgs),
    /// End runs by force
    Terminate(BatchStopArgs),
    /// Tell runs something
    Signal(BatchSignalArgs),
    /// Try blocked runs again now
    Resume(BatchArgs),
    /// Hold back the code of runs
    Pause(BatchStopArgs),
    /// Let the code of paused runs go on
    Unpause(BatchArgs),
}

/// Which runs, and how fast.
#[derive(Debug, Args)]
pub(in crate::verbs) struct BatchArgs {
    #[command(flatten)]
    pub(in crate::verbs) filter: FilterArgs,
    /// At most so many requests a second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(in crate::verbs) rate: u32,
    /// Only show which runs it would be
    #[arg(long)]
    pub(in crate::verbs) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(in crate::verbs) yes: bool,
    /// Names the batch: begun again under it, each run is asked once
    #[arg(long, value_name = "ID")]
    pub(in crate::verbs) request_id: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct BatchStopArgs {
    #[command(flatten)]
    pub(in crate::verbs) batch: BatchArgs,
    /// Who wants that, and why
    #[arg(long, default_value = "")]
    pub(in crate::verbs) reason: String,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct BatchSignalArgs {
    #[command(flatten)]
    pub(in crate::verbs) said: Said,
    #[command(flatten)]
    pub(in crate::verbs) batch: BatchArgs,
}
