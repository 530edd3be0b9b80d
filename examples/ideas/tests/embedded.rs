//! Every idea on the embedded engine, in a real folder; then every history that came of it is replayed with the same code:
//! whole, and cut off after each event, as a crash would leave it.

use std::collections::BTreeSet;
use std::path::Path;

use millrace::client::Filter;
use millrace::dev::{Dev, Options};
use millrace::{App, Client, Recording};
use millrace_core::Replay;
use millrace_ideas::{Idea, each_idea, ideas, programs};

macro_rules! tests {
    ($($idea:ident)*) => { $(
        #[tokio::test]
        async fn $idea() {
            runs_and_replays(stringify!($idea)).await;
        }
    )* };
}
each_idea!(tests);

async fn runs_and_replays(name: &str) {
    let idea = ideas().into_iter().find(|idea| idea.name == name).unwrap();
    let recordings = histories_of(&idea).await;
    assert!(!recordings.is_empty(), "the scenario starts something");
    let app = (idea.app)(App::new());
    for recording in &recordings {
        let whose = format!("{} `{}`", recording.info.workflow, recording.info.workflow_id);
        app.replay(recording).unwrap_or_else(|reason| panic!("{whose}: {reason}"));
        // A child that was ended before it began has a history, and no code has ever run for it.
        let has_run = recording.events.iter().any(|event| event.kind.records_command());
        for cut in (1..recording.events.len()).filter(|_| has_run) {
            let code = app.workflow_code().instantiate(&recording.info).unwrap();
            let followed = Replay::new(code).follow(&recording.events[..cut]);
            followed.unwrap_or_else(|reason| panic!("{whose}, after event {cut}: {reason}"));
        }
    }
}

/// Runs the scenario in a folder of its own.
async fn histories_of(idea: &Idea) -> Vec<Recording> {
    let data = tempfile::tempdir().unwrap();
    let options = Options { port: None, ..Options::new(data.path()) };
    let dev = Dev::start(&(idea.app)(App::new()), options).unwrap();
    (idea.scenario)(&dev.client()).await.unwrap_or_else(|error| panic!("{}: {error:#}", idea.name));
    recorded(&dev.client()).await
}

async fn recorded(client: &Client) -> Vec<Recording> {
    let mut recordings = Vec::new();
    for run in client.list(&Filter { limit: 1_000, ..Filter::default() }).await.unwrap() {
        recordings.push(client.record(&run.entry.workflow_id, Some(run.entry.run_id)).await.unwrap());
    }
    recordings
}

#[test]
fn all_ideas_but_those_that_are_alone_fit_into_one_program() {
    for program in programs() {
        assert_eq!(program.app.check(), Ok(()), "{}", program.name);
    }
    assert_eq!(programs().iter().flat_map(|program| &program.ideas).count(), ideas().len());
}

#[test]
fn every_folder_is_an_idea_with_a_head_that_says_when_and_what_it_costs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = std::fs::read_dir(&source).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let folders: BTreeSet<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let listed: BTreeSet<_> = ideas().iter().map(|idea| idea.name.to_owned()).collect();
    assert_eq!(listed, folders, "each folder of `src` is a line of `each_idea`");
    for idea in ideas() {
        let text = std::fs::read_to_string(source.join(idea.name).join("mod.rs")).unwrap();
        for part in ["//! **", "//! When: ", "//! Costs: "] {
            assert!(text.contains(part), "{}: its head has no `{part}`", idea.name);
        }
    }
}
