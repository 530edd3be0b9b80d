//! Rounds of real crashes on one data folder: `MILLRACE_ROUNDS=300 cargo test -p millrace-end-to-end --test crashes -- --nocapture`.
//!
//! In each round an engine is killed, or frozen and then killed, or its disk is full. What was accepted ends with the right
//! result, histories only grow, and nobody pays while another does.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

mod process;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use millrace_conformance::Rng;
use process::{Engine, app, run};
use serde_json::Value;

/// How large a file may grow while the disk is "full", in blocks of 512 bytes or of 1 KiB, as the shell has it.
const SMALL_DISK: u64 = 200;

fn rounds() -> u64 {
    std::env::var("MILLRACE_ROUNDS").map_or(12, |rounds| rounds.parse().expect("MILLRACE_ROUNDS is a number"))
}

/// What happens to a round's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Killed,
    Frozen,
    DiskFull,
}

impl Fate {
    fn of(rng: &mut Rng) -> Self {
        match rng.below(6) {
            0 | 1 => Self::Frozen,
            2 => Self::DiskFull,
            _ => Self::Killed,
        }
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill {name} {pid}");
}

/// An engine that cannot make any file larger than that. Its writes fail as on a full disk.
fn on_a_small_disk(data: &Path) -> Engine {
    let program = app(data, &["dev"]);
    let mut shell = Command::new("sh");
    let limited = format!("trap '' XFSZ; ulimit -f {SMALL_DISK}; exec \"$0\" \"$@\"");
    shell.args(["-c", &limited]).arg(program.get_program()).args(program.get_args());
    Engine(shell.env("MILLRACE_DATA", data).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

struct Journeys<'a> {
    data: &'a Path,
    diaries: &'a Path,
    /// Those that were accepted, and whether their approval was, too.
    accepted: BTreeMap<String, bool>,
    histories: BTreeMap<String, Vec<String>>,
}

impl Journeys<'_> {
    fn diary(&self, id: &str) -> std::path::PathBuf {
        self.diaries.join(id)
    }

    /// Whether somebody hears it or not: what is accepted counts.
    fn start(&mut self, id: &str) {
        let input = serde_json::to_string(&self.diary(id)).unwrap();
        if run(self.data, &["start", "Journey", "--id", id, "--input", &input]).0 == 0 {
            self.accepted.insert(id.to_owned(), false);
        }
    }

    fn approve(&mut self, id: &str) {
        let approval = ["signal", id, "approve", "--request-id", "approval", "--input", r#"{"by":"ann"}"#];
        if self.accepted.get(id) == Some(&false) && run(self.data, &approval).0 == 0 {
            self.accepted.insert(id.to_owned(), true);
        }
    }

    /// G1: what was in the log stays as it was. A look is a process, so what has ended is looked at again only when all are.
    fn check_histories(&mut self, all: bool) {
        let has_ended = |id: &String| {
            let last = self.histories.get(id).and_then(|history| history.last());
            last.is_some_and(|event| event.contains("\"RunCompleted\""))
        };
        let wanted: Vec<String> = self.accepted.keys().filter(|id| all || !has_ended(id)).cloned().collect();
        for id in &wanted {
            let (code, out, err) = run(self.data, &["show", id, "--json"]);
            assert!(code == 0 || code == 5, "{id}: {code} {err}");
            let history: Vec<String> = out.lines().filter(|_| code == 0).map(str::to_owned).collect();
            let before = self.histories.get(id).map_or(&[][..], Vec::as_slice);
            assert!(history.starts_with(before), "{id}: {before:#?}\nbecame {history:#?}");
            self.histories.insert(id.clone(), history);
        }
    }

    fn check_end(&self, id: &str) {
        let (code, out, err) = run(self.data, &["result", id, "-q"]);
        assert_eq!((code, out.as_str()), (0, "[28,\"ann\",4]"), "{id}: {err}");
        let (_, history, _) = run(self.data, &["show", id, "--json"]);
        let events: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        let once = [of("ActivityScheduled"), of("ActivityCompleted"), of("TimerFired"), of("SignalReceived")];
        assert_eq!(once, [9, 9, 1, 1], "{history}");
        let diary = fs::read_to_string(self.diary(id)).unwrap();
        for step in 0..8 {
            assert!(diary.lines().any(|line| line == format!("walk {step}")), "{id}: {step} of {diary}");
        }
        check_payments(&diary);
    }
}

/// G11: epochs rise, and who begins finds nobody at it but the dead.
fn check_payments(diary: &str) {
    let mut open: Option<(u64, u32)> = None;
    let mut last = 0;
    for line in diary.lines().filter_map(|line| line.strip_prefix("pay ")) {
        let [epoch, what, process] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (epoch, process): (u64, u32) = (epoch.parse().unwrap(), process.parse().unwrap());
        if what == "begin" {
            assert!(epoch > last, "epochs rise: {diary}");
            assert!(open.is_none_or(|(_, other)| other != process), "two at once in one process: {diary}");
            (last, open) = (epoch, Some((epoch, process)));
        } else {
            assert_eq!(open.take(), Some((epoch, process)), "{diary}");
        }
    }
    assert!(open.is_none() && last > 0, "the last one ended: {diary}");
}

#[test]
fn what_was_accepted_ends_whatever_becomes_of_the_engines() {
    let (folder, diaries) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path();
    let mut journeys =
        Journeys { data, diaries: diaries.path(), accepted: BTreeMap::new(), histories: BTreeMap::new() };
    let (rounds, began) = (rounds(), Instant::now());
    let mut rng = Rng::new(2_026);
    let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
    for round in 0..rounds {
        let fate = Fate::of(&mut rng);
        *fates.entry(fate).or_default() += 1;
        let id = format!("journey-{round}");
        if round.is_multiple_of(2) {
            journeys.start(&id);
        }
        let engine = if fate == Fate::DiskFull { on_a_small_disk(data) } else { Engine::start(data) };
        journeys.start(&id);
        sleep(Duration::from_millis(rng.below(250)));
        if let Some(earlier) = round.checked_sub(1) {
            journeys.approve(&format!("journey-{earlier}"));
        }
        if fate == Fate::Frozen {
            signal(engine.0.id(), "-STOP");
            sleep(Duration::from_millis(rng.below(1_500)));
            signal(engine.0.id(), "-CONT");
            sleep(Duration::from_millis(rng.below(100)));
        }
        sleep(Duration::from_millis(rng.below(250)));
        drop(engine);
        if round.is_multiple_of(5) {
            journeys.check_histories(false);
        }
        if round % 50 == 49 {
            println!(
                "{} rounds, {} journeys, {:.0} s",
                round + 1,
                journeys.accepted.len(),
                began.elapsed().as_secs_f64()
            );
        }
    }
    journeys.check_histories(true);
    let _engine = Engine::start(data);
    let ids: Vec<String> = journeys.accepted.keys().cloned().collect();
    assert!(ids.len() as u64 > rounds / 2, "most are accepted: {} of {rounds}", ids.len());
    for id in &ids {
        journeys.approve(id);
        journeys.check_end(id);
    }
    println!(
        "{rounds} rounds ({fates:?}), {} journeys ended well, {:.0} s",
        ids.len(),
        began.elapsed().as_secs_f64()
    );
}

/// Half of a file is not a smaller store: it is named, and nothing runs on it.
#[test]
fn a_store_that_lost_its_end_is_not_worked_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let engine = Engine::start(data);
    for n in 0..40 {
        assert_eq!(run(data, &["start", "Approval", "--id", &format!("a{n}")]).0, 0);
    }
    assert_eq!(engine.terminate(), 0);
    let store = data.join("store.sqlite");
    let whole = fs::metadata(&store).unwrap().len();
    fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(whole / 2).unwrap();
    let (code, _, err) = run(data, &["dev"]);
    let named = format!("`{}` is damaged", data.display());
    assert!(code == 1 && err.contains(&named) && err.contains("restore it"), "{code} {err}");
}
