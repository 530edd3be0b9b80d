//! Logs: one JSON object a line on standard output, which is where Lambda collects them.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::deployment::variable;

/// Sets which lines are logged, such as `warn` or `info,millrace_engine=debug`.
const LOG: &str = "MILLRACE_LOG";

/// Installs them, unless the program has set up its own.
pub(super) fn install() {
    let wanted = variable(LOG).and_then(|text| text.parse::<Targets>().ok());
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let _ = tracing_subscriber::registry().with(lines).with(wanted.unwrap_or_else(default)).try_init();
}

/// The engine's and the user's own lines, and one for each turn, which is how a run is followed through the functions; of
/// the libraries only what went wrong.
fn default() -> Targets {
    let quiet = ["aws", "hyper", "h2", "rustls", "lambda_runtime", "tower"];
    let targets =
        Targets::new().with_default(LevelFilter::INFO).with_target("millrace::turn", LevelFilter::DEBUG);
    targets.with_targets(quiet.map(|target| (target, LevelFilter::WARN)))
}
