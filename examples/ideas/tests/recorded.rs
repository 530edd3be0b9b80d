//! The pattern for your own CI: histories that earlier builds recorded lie beside the code, and today's code must be able to go
//! on with each of them. They are never edited. A new idea, or a new way through an old one, gets a new file:
//!
//! `MILLRACE_RECORD=1 cargo test -p millrace-ideas --test recorded` records what is missing, and leaves the others alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use millrace::client::Filter;
use millrace::dev::{Dev, Options};
use millrace::{App, Blocked, Client, Recording};
use millrace_ideas::patched::{self, Publish, v1};
use millrace_ideas::{app, ideas, programs};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

/// What a program of its own has recorded lies apart from what can be replayed together.
fn file(name: &str) -> PathBuf {
    let alone = ideas().iter().any(|idea| idea.alone && idea.name == name);
    let folder = if alone { folder().join("alone") } else { folder() };
    folder.join(format!("{name}.ndjson"))
}

fn read(name: &str) -> Vec<Recording> {
    let text = std::fs::read_to_string(file(name))
        .unwrap_or_else(|error| panic!("{name}: {error}; record it with MILLRACE_RECORD=1"));
    Recording::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the earlier version of the patched workflow leaves: a run that has ended, and one on its way.
const V1: &str = "patched_v1";

#[test]
fn todays_code_can_go_on_with_every_recorded_run() {
    for program in programs() {
        program.ideas.iter().for_each(|idea| can_go_on(&program.app, idea.name));
    }
    can_go_on(&app(), V1);
}

fn can_go_on(app: &App, name: &str) {
    for recording in read(name) {
        let whose = &recording.info.workflow_id;
        app.replay(&recording).unwrap_or_else(|reason| panic!("{name}, `{whose}`: {reason}"));
    }
}

#[test]
fn a_change_without_a_patch_is_found() {
    let changed = patched::app_v1(App::new()); // the new way taken back, with no word to the runs that took it
    let [run] = &read("patched")[..] else { panic!("one run") };
    let blocked = changed.replay(run).unwrap_err();
    assert!(
        matches!(&blocked, Blocked::Nondeterminism { expected, .. } if expected.contains("moderate")),
        "{blocked}"
    );
}

#[test]
fn every_recorded_file_belongs_to_an_idea_and_is_as_it_was_written() {
    let entries = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries(folder()).chain(entries(folder().join("alone"))).filter(|path| path.is_file());
    let names: Vec<_> = ideas().iter().map(|idea| idea.name).chain([V1]).collect();
    let expected: BTreeSet<_> = names.iter().map(|name| file(name)).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), expected);
    for name in names {
        let text = std::fs::read_to_string(file(name)).unwrap();
        let written: String = read(name).iter().map(Recording::write).collect();
        assert_eq!(written, text, "{name}");
    }
}

#[tokio::test]
async fn record_what_is_missing() {
    if std::env::var_os("MILLRACE_RECORD").is_none() {
        return;
    }
    for idea in ideas() {
        if let Some(file) = missing(idea.name) {
            let dev = engine((idea.app)(App::new()));
            (idea.scenario)(&dev.client()).await.unwrap();
            keep(&file, &dev.client()).await;
        }
    }
    if let Some(file) = missing(V1) {
        let dev = engine(patched::app_v1(App::new()));
        let ended = dev.client().start(v1::index_document, "post-7", "a darn old post".into()).await.unwrap();
        ended.signal(Publish).await.unwrap();
        ended.result().await.unwrap();
        dev.client().start(v1::index_document, "post-8", "waits for an editor".into()).await.unwrap();
        keep(&file, &dev.client()).await;
    }
}

fn missing(name: &str) -> Option<PathBuf> {
    Some(file(name)).filter(|file| !file.exists())
}

fn engine(app: App) -> Dev {
    let options = Options { build: "recorded".into(), ..Options::in_memory() };
    Dev::start(&app, options).unwrap()
}

/// Writes what all runs have come to, the oldest first.
async fn keep(file: &Path, client: &Client) {
    let runs = client.list(&Filter { limit: 1_000, ..Filter::default() }).await.unwrap();
    let mut text = String::new();
    for run in runs.iter().rev() {
        text.push_str(&client.record(&run.entry.workflow_id, Some(run.entry.run_id)).await.unwrap().write());
    }
    std::fs::write(file, text).unwrap();
}
