//! Embedded stores under the write pattern of Millrace's embedded engine. See README.md.

mod measure;
mod store;
mod stores;
mod workload;

use anyhow::{bail, Context, Result};
use measure::Meter;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use store::{Batch, Table};
use workload::{check_prefix, history_key, Workload};

const USAGE: &str = "storage-candidates all FOLDER
storage-candidates alone|flight|soak|long|delta|crash|reopen|full|full-closed ENGINE FOLDER";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["all", dir] => all(Path::new(dir)),
        [workload, engine, dir] => {
            let line = run(workload, engine, &PathBuf::from(dir))?;
            println!("{workload:7} {engine:21} {line}");
            Ok(())
        }
        _ => bail!("usage:\n{USAGE}"),
    }
}

/// Every measurement of every engine, each in a process and a folder of its own.
fn all(dir: &Path) -> Result<()> {
    for engine in store::ENGINES {
        let floor = engine.starts_with("floor");
        for workload in ["alone", "flight", "long", "delta", "crash"] {
            if floor && workload == "crash" {
                continue;
            }
            let folder = dir.join(format!("{engine}-{workload}"));
            let status =
                Command::new(std::env::current_exe()?).args([workload, engine]).arg(&folder).status()?;
            if !status.success() {
                println!("{workload:7} {engine:21} failed: {status}");
            }
            std::fs::remove_dir_all(&folder).ok();
        }
    }
    Ok(())
}

fn run(workload: &str, engine: &str, dir: &Path) -> Result<String> {
    match workload {
        "alone" => batches(engine, dir, 5_000, 1, Workload::steps),
        "flight" => batches(engine, dir, 3_000, 100, Workload::steps),
        "soak" => batches(engine, dir, 10_000, 100, Workload::steps),
        "long" => batches(engine, dir, 5_000, 1, Workload::long_step),
        "delta" => batches(engine, dir, 5_000, 1, Workload::delta_step),
        "crash" => crash(engine, dir),
        "victim" => victim(engine, dir),
        "reopen" => reopen(engine, dir),
        "full" => full(engine, dir, false),
        "full-closed" => full(engine, dir, true),
        _ => bail!("unknown workload {workload}\n{USAGE}"),
    }
}

fn batches(
    engine: &str,
    dir: &Path,
    count: usize,
    steps: usize,
    next: impl Fn(&mut Workload) -> Batch,
) -> Result<String> {
    let mut store = store::open(engine, dir)?;
    let mut workload = Workload::new(steps as u64);
    let mut meter = Meter::start();
    for _ in 0..count {
        let batch = next(&mut workload);
        meter.time(|| store.commit(&batch))?;
    }
    Ok(meter.report(steps, dir))
}

/// Kills a writer after some seconds, then opens its folder again.
fn crash(engine: &str, dir: &Path) -> Result<String> {
    let this = std::env::current_exe()?;
    let mut child = Command::new(&this).args(["victim", engine]).arg(dir).stdout(Stdio::piped()).spawn()?;
    let acknowledged = BufReader::new(child.stdout.take().context("no pipe")?);
    let reader = std::thread::spawn(move || {
        acknowledged.lines().map_while(Result::ok).filter_map(|n| n.parse::<u64>().ok()).last()
    });
    std::thread::sleep(Duration::from_secs(6));
    child.kill()?; // SIGKILL
    child.wait()?;
    let last = reader.join().ok().flatten().unwrap_or(0);
    let output = Command::new(&this).args(["reopen", engine]).arg(dir).output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok(format!("killed after {last} messages were acknowledged; {}", said.trim()))
}

/// Writes without end; tells how many messages are durable after each batch.
fn victim(engine: &str, dir: &Path) -> Result<String> {
    let mut store = store::open(engine, dir)?;
    let mut workload = Workload::new(100);
    let mut out = std::io::stdout();
    loop {
        store.commit(&workload.steps())?;
        writeln!(out, "{}", workload.next_message())?;
    }
}

fn reopen(engine: &str, dir: &Path) -> Result<String> {
    let start = Instant::now();
    let store = store::open(engine, dir)?;
    let opened = start.elapsed();
    let next = check_prefix(&store.keys(Table::Messages)?)?;
    for run in 0..1000 {
        store.get(Table::Objects, &history_key(run))?.context("a history is missing")?;
    }
    Ok(format!(
        "a prefix of {next} messages is there; opened in {:.0} ms, scanned and read 1,000 in {:.0} ms more, \
         peak {:.1} MiB, folder {:.0} MiB",
        opened.as_secs_f64() * 1e3,
        (start.elapsed() - opened).as_secs_f64() * 1e3,
        measure::peak_memory(),
        measure::disk(dir)
    ))
}

/// Fills the (small) file system that holds the folder, frees some of it, goes on.
/// `close`: the store is closed and opened again before space is freed.
fn full(engine: &str, dir: &Path, close: bool) -> Result<String> {
    std::fs::create_dir_all(dir)?;
    let ballast = dir.join("../ballast");
    std::fs::write(&ballast, vec![1; 8 << 20])?;
    let mut store = store::open(engine, dir)?;
    let mut workload = Workload::new(20);
    let mut acknowledged = 0;
    let error = loop {
        let start = Instant::now();
        let result = store.commit(&workload.steps());
        if start.elapsed() > Duration::from_secs(2) {
            println!("  a batch took {:.1} s", start.elapsed().as_secs_f64());
        }
        match result {
            Ok(()) => acknowledged = workload.next_message(),
            Err(error) => break error,
        }
    };
    println!("  full after {acknowledged} messages, folder {:.0} MiB: {error:?}", measure::disk(dir));
    let verdict = |result: Result<()>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    if close {
        drop(store);
        match store::open(engine, dir) {
            Ok(opened) => store = opened,
            Err(error) => {
                println!("  opened, still full: {error:?}");
                std::fs::remove_file(&ballast)?;
                let found = check_prefix(&store::open(engine, dir)?.keys(Table::Messages)?)?;
                return Ok(format!("opened, 8 MiB free: {found} of {acknowledged} acknowledged"));
            }
        }
    }
    for _ in 0..2 {
        workload.resume(acknowledged);
        let result = store.commit(&workload.steps());
        if result.is_ok() {
            acknowledged = workload.next_message();
        }
        println!("  again, still full: {}", verdict(result));
    }
    println!("  a read, still full: {}", verdict(store.get(Table::Objects, &history_key(3)).map(drop)));
    std::fs::remove_file(&ballast)?;
    workload.resume(acknowledged);
    let result = store.commit(&workload.steps());
    if result.is_ok() {
        acknowledged = workload.next_message();
    }
    println!("  same handle, 8 MiB free: {}", verdict(result));
    let found = store.keys(Table::Messages).and_then(|keys| check_prefix(&keys));
    println!("  same handle, messages there: {found:?} of {acknowledged} acknowledged");
    drop(store);
    let mut store = store::open(engine, dir)?;
    let found = store.keys(Table::Messages).and_then(|keys| check_prefix(&keys));
    println!("  reopened: {found:?} of {acknowledged} acknowledged");
    workload.resume(found.unwrap_or(acknowledged));
    Ok(format!("reopened handle, a batch: {}", verdict(store.commit(&workload.steps()))))
}
