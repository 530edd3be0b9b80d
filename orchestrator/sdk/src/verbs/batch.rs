//! `batch`: the same request to every open run that a filter finds.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use millrace_engine::ports::{Clock, Entropy};
use millrace_local::{OsEntropy, SystemClock};

use super::args::{BatchArgs, BatchVerb, Place, Said};
use super::connect::{Missing, connect};
use super::failure::{Failure, Verdict};
use super::reads::table;
use super::requests::json;
use super::{say, say_json};
use crate::client::{Batch, BatchReport, Listed, Operation};

/// How many runs are shown before it is asked.
const SHOWN: usize = 10;

pub(super) async fn batch(place: &Place, verb: BatchVerb) -> Verdict {
    let (operation, args) = match verb {
        BatchVerb::Cancel(args) => (Operation::Cancel { reason: args.reason }, args.batch),
        BatchVerb::Terminate(args) => (Operation::Terminate { reason: args.reason }, args.batch),
        BatchVerb::Signal(args) if args.said.name.is_empty() => {
            return Err(Failure::usage("name: a signal needs a name"));
        }
        BatchVerb::Signal(args) => {
            let Said { name, input } = args.said;
            (Operation::Signal { name, input: json("--input", &input)? }, args.batch)
        }
        BatchVerb::Resume(args) => {
            // Nothing else can be resumed.
            let filter = super::args::FilterArgs { blocked: true, ..args.filter };
            (Operation::Resume, BatchArgs { filter, ..args })
        }
        BatchVerb::Pause(args) => (Operation::Pause { reason: args.reason }, args.batch),
        BatchVerb::Unpause(args) => (Operation::Unpause, args),
    };
    let terminal = std::io::stdin().is_terminal();
    if !(args.yes || args.dry_run || terminal) {
        return Err(Failure::usage("nobody can be asked here: say --yes, or look first with --dry-run"));
    }
    let id = args.request_id.unwrap_or_else(|| format!("batch-{:016x}", OsEntropy.bits() as u64));
    let connected = connect(place, Missing::Refuse).await?;
    let batch = connected.client().batch(&id, &args.filter.filter(usize::MAX), operation).await?;
    let runs: Vec<Listed> = batch.runs().cloned().collect();
    if args.dry_run {
        show(&runs, args.json, usize::MAX);
        eprintln!("{}: nothing was sent", count(runs.len()));
        return Ok(());
    }
    if !args.yes {
        show(&runs, false, SHOWN);
        if !runs.is_empty() && !agreed(runs.len()) {
            return Err(Failure::usage("nothing was sent"));
        }
    }
    eprintln!("batch {id}: {}", count(runs.len()));
    let report = send(batch, args.rate, runs.len()).await;
    tell(&id, runs.len(), &report, args.json);
    if report.failed.is_empty() {
        return Ok(());
    }
    let failed = report.failed.len();
    Err(Failure::engine(format!(
        "{failed} of {} requests were not sent; begin again with --request-id {id}",
        runs.len()
    )))
}

fn count(runs: usize) -> String {
    format!("{runs} open run{}", if runs == 1 { "" } else { "s" })
}

fn show(runs: &[Listed], as_json: bool, most: usize) {
    if as_json {
        runs.iter().for_each(say_json);
        return;
    }
    say(&table(runs.get(..most.min(runs.len())).unwrap_or_default()));
    if runs.len() > most {
        say(&format!("… and {} more", runs.len() - most));
    }
}

fn agreed(runs: usize) -> bool {
    eprint!("{}: go on? [y/N] ", count(runs));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// One request after the other, at most so many a second; on a terminal one sees how far it has come.
async fn send(mut batch: Batch, rate: u32, runs: usize) -> BatchReport {
    let (clock, bar) = (SystemClock::default(), ProgressBar::new(runs as u64));
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} sent");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut report = BatchReport::default();
    let (start, mut n) = (clock.now(), 0_u32);
    loop {
        let due = start.plus(Duration::from_secs(1).mul_f64(f64::from(n) / f64::from(rate)));
        clock.sleep_until(due).await;
        let Some(sent) = batch.send_next().await else { break };
        report.add(sent);
        bar.inc(1);
        n = n.saturating_add(1);
    }
    bar.finish_and_clear();
    report
}

fn tell(id: &str, runs: usize, report: &BatchReport, as_json: bool) {
    if as_json {
        let failed = report.failed.iter().map(|(run, error)| {
            serde_json::json!({"id": run.entry.workflow_id, "run_id": run.entry.run_id, "error": error.to_string()})
        });
        let failed: Vec<_> = failed.collect();
        say_json(&serde_json::json!({"batch": id, "runs": runs, "sent": report.sent, "failed": failed}));
        return;
    }
    for (run, error) in &report.failed {
        eprintln!("`{}` (run {}): {error}", run.entry.workflow_id, run.entry.run_id);
    }
    say(&format!("sent {}, failed {} (batch {id})", report.sent, report.failed.len()));
}
