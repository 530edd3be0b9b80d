//! Logs: one JSON object a line on standard output, which is where Lambda collects them.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::deployment::variable;

/// Sets which lines are logged: a level, such as `warn`, or targets, such as `info,millrace_engine=debug`.
const LOG: &str = "MILLRACE_LOG";

/// Installs them, unless the program has set up its own.
pub(super) fn install() {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let targets = targets(&variable(LOG).unwrap_or_else(|| "info".into()));
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}

/// A bare level is for the engine and the user; whoever names targets gets exactly those.
fn targets(text: &str) -> Targets {
    match (text.parse(), text.parse()) {
        (Ok(level), _) => of_level(level),
        (Err(_), Ok(targets)) => targets,
        (Err(_), Err(_)) => of_level(LevelFilter::INFO),
    }
}

/// The engine's and the user's own lines, and one for each turn, which is how a run is followed through the functions; of
/// the libraries only what went wrong.
fn of_level(level: LevelFilter) -> Targets {
    let turns = if level >= LevelFilter::INFO { LevelFilter::DEBUG } else { level };
    let quiet = ["aws", "hyper", "h2", "rustls", "lambda_runtime", "tower"];
    let targets = Targets::new().with_default(level).with_target("millrace::turn", turns);
    targets.with_targets(quiet.map(|target| (target, level.min(LevelFilter::WARN))))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_keeps_libraries_quiet_and_shows_turns() {
        let info = targets("info");
        assert!(
            info.would_enable("millrace::turn", &Level::DEBUG) && info.would_enable("shop", &Level::INFO)
        );
        assert!(!info.would_enable("aws_config", &Level::INFO) && !info.would_enable("shop", &Level::DEBUG));
        assert!(!targets("warn").would_enable("millrace::turn", &Level::INFO));
        assert!(targets("shop=debug").would_enable("shop", &Level::DEBUG));
    }
}
