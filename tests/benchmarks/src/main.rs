//! Measures the embedded engine, fsync on: `cargo run --release -p millrace-bench`.

mod load;
mod measure;
mod report;
mod rig;
mod workflows;
mod workloads;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use report::Report;
use rig::Rig;
use workloads::Sizes;

/// The benchmark of the embedded engine. Every commit is synced to the disk.
#[derive(Debug, Parser)]
struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long, global = true)]
    json: bool,
    /// Where the data lies; a temporary folder here, removed at the end, unless given.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
    /// A tenth of the work, for a first impression.
    #[arg(long)]
    quick: bool,
    /// Run only this workload.
    #[arg(long)]
    only: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start many runs as fast as the engine takes them, then drain them; the workloads of the table are left out.
    Load(load::Load),
    /// Start runs at a steady rate for an hour; the workloads of the table are left out.
    Soak(load::Soak),
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Beside the sources and not under /tmp, which may lie in memory, where an fsync costs nothing.
    let temporary = tempfile::Builder::new().prefix("millrace-bench-").tempdir_in(".")?;
    let folder = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let rig = Rig::start(&folder, &workflows::app())?;
    match &options.command {
        Some(Command::Load(load)) => load::load(&rig, load, options.json)?,
        Some(Command::Soak(soak)) => load::soak(&rig, soak, options.json)?,
        None => table(&rig, &options)?,
    }
    rig.stop();
    Ok(())
}

fn table(rig: &Rig, options: &Options) -> anyhow::Result<()> {
    let share = if options.quick { 10 } else { 1 };
    let sizes = Sizes {
        chains: 300 / share,
        parallel_runs: 5_000 / share,
        fan_outs: 20 / share,
        long_runs: (5 / share).max(1),
        signal_rounds: 20 / share,
        language: (10 / share).max(1),
    };
    let report = measure_all(rig, sizes, options)?;
    if options.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

fn measure_all(rig: &Rig, sizes: Sizes, options: &Options) -> anyhow::Result<Report> {
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let (mut rows, mut tail_ratio) = (Vec::new(), f64::NAN);
    let note = |name: &str| eprintln!("{name} …");
    if wanted("chain") {
        note("chain: one run of 10 steps at a time");
        rows.push(workloads::chains(rig, sizes)?);
    }
    if wanted("parallel_runs") {
        note("parallel_runs: runs of 10 steps, 200 in flight");
        rows.push(workloads::parallel_runs(rig, sizes)?);
    }
    if wanted("fan_out") {
        note("fan_out: 1,000 activities side by side, join");
        rows.push(workloads::fan_outs(rig, sizes)?);
    }
    if wanted("long_run") {
        note("long_run: one run of 2,000 steps");
        let (row, ratio) = workloads::long_runs(rig, sizes)?;
        rows.push(row);
        tail_ratio = ratio;
    }
    if wanted("signals") {
        note("signals: 1,000 signals to one run");
        rows.push(workloads::signals(rig, sizes)?);
    }
    if wanted("local") {
        note("local: 1,000 local activities, ten in a turn");
        rows.push(workloads::locals(rig, sizes)?);
    }
    if wanted("children") {
        note("children: 100 side by side, join");
        rows.push(workloads::families(rig, sizes)?);
    }
    if wanted("map") {
        note("map: over 10,000 items");
        rows.push(workloads::maps(rig, sizes)?);
    }
    Ok(Report { rows, tail_ratio, peak_rss_mib: measure::peak_rss_mib() })
}
