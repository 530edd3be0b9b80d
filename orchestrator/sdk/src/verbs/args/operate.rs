//! What is typed after `pause`, `unpause`, `retry`, `reset` and `fork`.

use clap::Args;
use millrace_core::{RequestId, RunId, WorkflowId};

use super::Target;

/// What is held back, or let go on.
#[derive(Debug, Args)]
pub(in crate::verbs) struct HeldArgs {
    #[command(flatten)]
    pub(in crate::verbs) target: Target,
    /// One of its activities, by name or number, instead of the code
    #[arg(long, value_name = "NAME|N")]
    pub(in crate::verbs) activity: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct PauseArgs {
    #[command(flatten)]
    pub(in crate::verbs) held: HeldArgs,
    /// Who wants that, and why
    #[arg(long, default_value = "")]
    pub(in crate::verbs) reason: String,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct RetryArgs {
    #[command(flatten)]
    pub(in crate::verbs) target: Target,
    /// The activity that waits for its next attempt, by name or number; may be left out if there is one only
    #[arg(long, value_name = "NAME|N")]
    pub(in crate::verbs) activity: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

/// Which events the new run begins with.
#[derive(Debug, Args)]
pub(in crate::verbs) struct Cut {
    /// The last event that the new run takes over, as `show --json` numbers them
    #[arg(long, value_name = "N")]
    pub(in crate::verbs) event: u64,
    /// Do not tell the new run the signals that came after that event
    #[arg(long)]
    pub(in crate::verbs) no_reapply: bool,
    /// Who wants that, and why
    #[arg(long, default_value = "")]
    pub(in crate::verbs) reason: String,
    /// Makes the request count once, however often it is sent
    #[arg(long, value_name = "ID")]
    pub(in crate::verbs) request_id: Option<RequestId>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ResetArgs {
    #[command(flatten)]
    pub(in crate::verbs) target: Target,
    #[command(flatten)]
    pub(in crate::verbs) cut: Cut,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct ForkArgs {
    /// The workflow whose events are taken
    pub(in crate::verbs) from: WorkflowId,
    /// The id of the new workflow
    #[arg(long)]
    pub(in crate::verbs) id: WorkflowId,
    /// An earlier run of the source, instead of the current one
    #[arg(long, value_name = "RUN")]
    pub(in crate::verbs) from_run_id: Option<RunId>,
    #[command(flatten)]
    pub(in crate::verbs) cut: Cut,
}
