//! Which runs a verb is about.

use clap::Args;
use millrace_core::{Status, Timestamp, WorkflowType};
use millrace_engine::ports::Clock;
use millrace_format::AttributeCondition;
use millrace_local::SystemClock;

use super::{duration, word};
use crate::client::Filter;

#[derive(Clone, Debug, Args)]
pub(in crate::verbs) struct FilterArgs {
    /// Only runs that stand there: running, completed, failed, canceled, terminated, timed_out or
    /// continued_as_new
    #[arg(long, value_parser = word::<Status>)]
    pub(in crate::verbs) status: Option<Status>,
    /// Only runs of this workflow type
    #[arg(long = "type", value_name = "TYPE")]
    pub(in crate::verbs) workflow: Option<WorkflowType>,
    /// Only runs whose code cannot go on
    #[arg(long)]
    pub(in crate::verbs) blocked: bool,
    /// Only runs whose code somebody holds back
    #[arg(long)]
    pub(in crate::verbs) paused: bool,
    /// Only runs whose workflow id begins so
    #[arg(long, value_name = "TEXT")]
    pub(in crate::verbs) id_prefix: Option<String>,
    /// Only runs that began then or later: 2026-11-23T02:05:00Z, or 2h for two hours ago
    #[arg(long, value_parser = time, value_name = "WHEN")]
    pub(in crate::verbs) since: Option<Timestamp>,
    /// Only runs that began earlier
    #[arg(long, value_parser = time, value_name = "WHEN")]
    pub(in crate::verbs) until: Option<Timestamp>,
    /// Only runs that were started with this attribute: customer=ann, or with != < <= > >=, such as 'priority>=3'.
    /// More than one: all of them
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    pub(in crate::verbs) attributes: Vec<AttributeCondition>,
}

impl FilterArgs {
    pub(in crate::verbs) fn filter(self, limit: usize) -> Filter {
        let Self { status, workflow, blocked, paused, id_prefix, since, until, attributes } = self;
        Filter { status, blocked, paused, workflow, id_prefix, since, until, attributes, limit }
    }
}

/// A moment, or how long ago it was.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = duration(text).map_err(|_| {
        format!("`{text}` is neither a time such as 2026-11-23T02:05:00Z nor how long ago, such as 90s, 15m, 2h or 7d")
    })?;
    let ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(SystemClock::default().now().as_millis().saturating_sub(ms).max(0)))
}
