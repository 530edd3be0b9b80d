//! What `dead-letters` takes.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::verbs) enum DeadLettersVerb {
    /// Show them; they stay where they are
    List(DeadLettersListArgs),
    /// Send them back to the queue they come from
    Redrive(DeadLettersArgs),
    /// Throw them away
    Delete(DeadLettersArgs),
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct DeadLettersListArgs {
    /// Only of this queue: inbox, events or the name of a task queue. By default inbox, events and the task queues of the
    /// engine at work
    #[arg(long, value_name = "NAME")]
    pub(in crate::verbs) queue: Option<String>,
    /// At most this many of each queue
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(in crate::verbs) limit: usize,
    /// Print one JSON object a line, with the whole message
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::verbs) struct DeadLettersArgs {
    /// Of this queue: inbox, events or the name of a task queue
    #[arg(long, value_name = "NAME")]
    pub(in crate::verbs) queue: String,
    /// This one; may be given more than once
    #[arg(long = "message-id", required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    pub(in crate::verbs) message_ids: Vec<String>,
    /// All that are there
    #[arg(long)]
    pub(in crate::verbs) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::verbs) json: bool,
}
