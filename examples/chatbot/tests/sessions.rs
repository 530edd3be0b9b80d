//! Conversations that go well, fall silent, or are broken off.

use std::fs;
use std::path::Path;

use chatbot::{Archive, Ask, Transcript, app, find_answer, read_handbook, session};
use millrace::{RunError, TestEnv, prelude::*};

const HANDBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../document-processing/documents");

fn env(archive: &Path) -> TestEnv {
    TestEnv::of(app(read_handbook(Path::new(HANDBOOK)).unwrap(), Archive(archive.to_owned())))
}

/// The transcripts that were kept.
fn kept(archive: &Path) -> Vec<Transcript> {
    let files = fs::read_dir(archive).unwrap();
    files.map(|file| serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn questions_are_answered_from_the_handbook() {
    let archive = tempfile::tempdir().unwrap();
    let env = env(archive.path());
    let run = env.start(session, "ann", "Ann".into()).await.unwrap();
    let answer = run.update(Ask("How long may I borrow a hand tool?".into())).await.unwrap();
    assert!(answer.contains("for two weeks") && answer.ends_with("(loans.html)"), "{answer}");
    let answer = run.update(Ask("Where is the fire extinguisher?".into())).await.unwrap();
    assert!(answer.contains("beside the oven"), "{answer}");
    let answer = run.update(Ask("Who won the match?".into())).await.unwrap();
    assert_eq!(answer, "The handbook says nothing about that.");
    assert_eq!(run.update(Ask("  ".into())).await, Err(RunError::Rejected("ask something".into())));
    assert_eq!(run.state::<Transcript>().await.unwrap().unwrap().said.len(), 3);
}

#[tokio::test]
async fn a_question_is_seen_before_its_answer() {
    let archive = tempfile::tempdir().unwrap();
    let env = env(archive.path());
    let run = env.start(session, "ann", "Ann".into()).await.unwrap();
    env.hold(find_answer);
    assert!(run.update(Ask("May I use the lathe?".into())).await.is_err(), "nobody looks for an answer");
    let said = || async { run.state::<Transcript>().await.unwrap().unwrap().said };
    assert_eq!(said().await[0].answer, None);
    env.release(find_answer).await;
    assert!(said().await[0].answer.as_ref().unwrap().contains("lathe"));
}

#[tokio::test]
async fn a_silence_of_ten_minutes_ends_it() {
    let archive = tempfile::tempdir().unwrap();
    let env = env(archive.path());
    let begin = env.now();
    let run = env.start(session, "ann", "Ann".into()).await.unwrap();
    env.advance(minutes(9)).await;
    run.update(Ask("Are you open on Sunday?".into())).await.unwrap();
    let transcript = run.result().await.unwrap();
    assert_eq!(env.now() - begin, minutes(19));
    assert_eq!(kept(archive.path()), [transcript]);
    let late = run.update(Ask("Hello?".into())).await;
    assert!(matches!(late, Err(RunError::Rejected(_))), "{late:?}");
}

#[tokio::test]
async fn what_was_said_is_kept_when_it_is_broken_off() {
    let archive = tempfile::tempdir().unwrap();
    let env = env(archive.path());
    let run = env.start(session, "ann", "Ann".into()).await.unwrap();
    run.update(Ask("Are you open on Sunday?".into())).await.unwrap();
    run.cancel("the workshop closes").await.unwrap();
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("it went on") };
    assert!(failure.is_canceled(), "{failure}");
    assert_eq!(kept(archive.path())[0].said.len(), 1);
}
