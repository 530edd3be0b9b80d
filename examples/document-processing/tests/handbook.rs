//! The documents of this folder, indexed for good: in virtual time, and once by the real engine.

use std::fs;
use std::path::Path;

use document_processing::workflow::{Decide, Draft, Job, app, escalate, index_documents, prepare};
use document_processing::workspace::Workspace;
use millrace::client::Handle;
use millrace::dev::{Dev, Options};
use millrace::{Client, RunError, TestEnv, Workflow, prelude::*};

const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/documents");

fn job(folder: impl AsRef<Path>, tolerate: usize) -> Job {
    Job { folder: folder.as_ref().to_str().unwrap().to_owned(), tolerate }
}

fn workspace(folder: &tempfile::TempDir) -> Workspace {
    Workspace::open(folder.path()).unwrap()
}

/// What is left in the workspace, as `folder/file`.
fn left(folder: &tempfile::TempDir) -> Vec<String> {
    let folders = ["batch", "draft", "notice"].map(|name| folder.path().join(name));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .map(|file| file.unwrap().path().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

async fn failure<W: Workflow>(run: &Handle<W>) -> millrace::WorkflowFailure {
    match run.result().await {
        Err(RunError::Failed(failure)) => failure,
        other => panic!("{:?}", other.is_ok()),
    }
}

/// Indexes the documents with the approval at hand, and checks the index.
async fn indexes(client: &Client, folder: &tempfile::TempDir) {
    let approve = Decide { by: "Ann".into(), publish: true };
    let run = client.start(index_documents, "handbook", job(DOCUMENTS, 0)).signal(approve).await.unwrap();
    let published = run.result().await.unwrap();
    assert_eq!((published.approved_by.as_str(), published.draft.left_out.len()), ("Ann", 0));
    let index = workspace(folder).index().unwrap();
    assert_eq!((index.chunks(), index.words()), (published.draft.chunks, published.draft.words));
    assert_eq!(index.best("Can I borrow power tools?").unwrap().document, "loans.html");
    assert_eq!(index.best("When are you open on Saturday?").unwrap().document, "opening-hours.md");
    assert!(left(folder).is_empty(), "{:?}", left(folder));
}

#[tokio::test]
async fn the_documents_are_indexed_by_the_real_engine() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options { port: None, ..Options::new(data.path()) };
    let dev = Dev::start(&app(workspace(&folder)), options).unwrap();
    indexes(&dev.client(), &folder).await;
    dev.stop().await;
}

#[tokio::test]
async fn the_same_documents_give_the_same_index() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        indexes(&TestEnv::of(app(workspace(folder))), folder).await;
    }
    let [one, other] = folders.map(|folder| fs::read(folder.path().join("index.json")).unwrap());
    assert!(one == other && one.len() > 1_000);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_left_out_if_that_is_allowed() {
    let (folder, documents) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(documents.path().join("good.txt"), "The kiln is fired on Monday.").unwrap();
    fs::write(documents.path().join("picture.png"), [0x89, 0x50]).unwrap();
    let env = TestEnv::of(app(workspace(&folder)));

    let run = env.start(index_documents, "strict", job(documents.path(), 0)).await.unwrap();
    let failure = failure(&run).await;
    assert!(failure.is("TooManyFailures") && failure.to_string().contains("1 of 2"), "{failure}");
    assert!(left(&folder).is_empty(), "{:?}", left(&folder));

    let run = env.start(index_documents, "lenient", job(documents.path(), 1)).await.unwrap();
    let draft: Draft = run.state().await.unwrap().unwrap();
    assert!(draft.chunks == 1 && draft.left_out[0].contains("picture.png"), "{draft:?}");
    assert_eq!(env.calls(prepare).len(), 4, "what cannot be read is not tried again");
}

#[tokio::test]
async fn after_two_days_somebody_else_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let env = TestEnv::of(app(workspace(&folder)));
    let run = env.start(index_documents, "handbook", job(DOCUMENTS, 0)).await.unwrap();
    env.advance(days(1)).await;
    assert!(env.calls(escalate).is_empty());
    env.advance(days(2)).await;
    assert_eq!(env.calls(escalate).len(), 1);
    assert!(left(&folder).contains(&"notice".to_owned()));
    run.signal(Decide { by: "the boss".into(), publish: true }).await.unwrap();
    assert_eq!(run.result().await.unwrap().approved_by, "the boss");
}

#[tokio::test]
async fn without_approval_nothing_is_published_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let env = TestEnv::of(app(workspace(&folder)));
    let begin = env.now();
    let run = env.start(index_documents, "nobody", job(DOCUMENTS, 0)).await.unwrap();
    assert!(failure(&run).await.is("NobodyDecided"));
    assert_eq!(env.now() - begin, days(7));

    let run = env.start(index_documents, "refused", job(DOCUMENTS, 0)).await.unwrap();
    run.signal(Decide { by: "Ann".into(), publish: false }).await.unwrap();
    assert!(failure(&run).await.is("Refused"));

    let run = env.start(index_documents, "canceled", job(DOCUMENTS, 0)).await.unwrap();
    run.cancel("a page is missing").await.unwrap();
    assert!(failure(&run).await.is_canceled());

    assert_eq!(left(&folder), ["notice"]); // the note of the first
    assert!(workspace(&folder).index().is_err());
}
