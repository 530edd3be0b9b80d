//! Waiting for a run, and showing meanwhile where it stands.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use millrace_core::{RunId, WorkflowId};
use millrace_engine::Outcome;
use millrace_engine::ports::Clock;
use millrace_local::SystemClock;

use super::printable;
use super::timeline::span;
use crate::RunError;
use crate::client::{Backend, Description};

/// How often the line is brought up to date.
const LOOK: Duration = Duration::from_millis(300);

/// Waits for the outcome; `None` when the time is up. Progress goes to standard error: a line that turns on a terminal,
/// a line for each change elsewhere.
pub(super) async fn watch(
    backend: &dyn Backend,
    (id, run): (&WorkflowId, Option<RunId>),
    timeout: Option<Duration>,
    quiet: bool,
) -> Result<Option<Outcome>, RunError> {
    let clock = SystemClock::default();
    let until = timeout.map(|timeout| clock.now().plus(timeout));
    let mut line = Line::new(quiet);
    loop {
        let left = until.map_or(LOOK, |until| until.since(clock.now()).min(LOOK));
        if let Some(outcome) = backend.outcome(id, run, left).await? {
            return Ok(Some(outcome));
        }
        if until.is_some_and(|until| until <= clock.now()) {
            return Ok(None);
        }
        line.show(&backend.describe(id, run).await?, &clock);
    }
}

/// Where progress is shown.
enum Line {
    Quiet,
    Terminal(ProgressBar),
    Plain(String),
}

impl Line {
    fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Plain(String::new());
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::Terminal(bar)
    }

    fn show(&mut self, run: &Description, clock: &SystemClock) {
        let now = printable(&stands(run)).into_owned();
        match self {
            Self::Quiet => {}
            Self::Terminal(bar) => {
                bar.set_message(format!("{now}  ({})", span(clock.now() - run.started_at)))
            }
            Self::Plain(last) if *last == now => {}
            Self::Plain(last) => {
                eprintln!("{now}");
                *last = now;
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `digits-1 running: train (attempt 2)`
fn stands(run: &Description) -> String {
    let mut text = format!("{} {}", run.workflow_id, run.status);
    let mut activities = run.activities.iter();
    for (i, activity) in activities.by_ref().take(3).enumerate() {
        text.push_str(if i == 0 { ": " } else { ", " });
        text.push_str(&format!("{} (attempt {})", activity.activity, activity.attempt));
        if let Some(fault) = &activity.last_failure {
            text.extend(format!(" after {fault}").chars().take(120));
        }
    }
    let more = activities.count();
    if more > 0 { format!("{text} and {more} more") } else { text }
}
