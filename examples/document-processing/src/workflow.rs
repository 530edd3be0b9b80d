//! Extract, chunk, index, and ask a person.

use std::path::Path;

use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::extract::Unreadable;
use crate::workspace::{Workspace, chunks_of, documents};

/// How long the first person has, before somebody else is told, and how long there is then.
const PATIENCE_DAYS: u64 = 2;
const LAST_CALL_DAYS: u64 = 5;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The folder of documents.
    pub folder: String,
    /// How many documents may be left out because they cannot be read.
    #[serde(default)]
    pub tolerate: usize,
}

/// A person's word on the draft.
#[derive(Signal, Serialize, Deserialize)]
pub struct Decide {
    pub by: String,
    pub publish: bool,
}

/// One document of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub batch: String,
    pub folder: String,
    pub name: String,
}

/// The index that waits for a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub batch: String,
    pub chunks: usize,
    pub words: usize,
    /// Documents that could not be read, and why.
    pub left_out: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    pub draft: Draft,
    pub approved_by: String,
}

#[activity]
pub async fn list(folder: String) -> Result<Vec<String>, ActivityError> {
    Ok(documents(Path::new(&folder))?)
}

/// Extracts and cuts one document. The chunks go into a file: what is large has no place in a history.
#[activity(start_to_close = "5m", max_attempts = 3)]
pub async fn prepare(workspace: Shared<Workspace>, source: Source) -> Result<usize, ActivityError> {
    let chunks = chunks_of(Path::new(&source.folder), &source.name).map_err(|error| {
        match error.downcast_ref::<Unreadable>() {
            // It cannot be read at any other attempt either.
            Some(unreadable) => ApplicationFailure::from_error(unreadable).non_retryable().into(),
            None => ActivityError::from(error),
        }
    })?;
    Ok(workspace.keep(&source.batch, &source.name, &chunks)?)
}

#[activity(start_to_close = "10m")]
pub async fn index(
    workspace: Shared<Workspace>,
    batch: String,
    names: Vec<String>,
) -> Result<(usize, usize), ActivityError> {
    let index = workspace.draft(&batch, &names)?;
    Ok((index.chunks(), index.words()))
}

/// Leaves a note for somebody who can decide when the first one does not.
#[activity]
pub async fn escalate(workspace: Shared<Workspace>, draft: Draft) -> Result<(), ActivityError> {
    let Draft { batch, chunks, words, .. } = &draft;
    let text =
        format!("{batch} waits for a decision: {chunks} chunks, {words} words, {:?}\n", draft.left_out);
    Ok(workspace.notify(batch, &text)?)
}

#[activity]
pub async fn publish(workspace: Shared<Workspace>, batch: String) -> Result<(), ActivityError> {
    Ok(workspace.publish(&batch)?)
}

#[activity]
pub async fn discard(workspace: Shared<Workspace>, batch: String) -> Result<(), ActivityError> {
    Ok(workspace.discard(&batch)?)
}

#[workflow(accepts(Decide))]
pub async fn index_documents(ctx: WorkflowContext, job: Job) -> Result<Published, WorkflowError> {
    ctx.saga(async |saga| {
        let batch = ctx.run_id().to_string();
        saga.undo(ctx.activity(discard, batch.clone())); // also when it is canceled, or nobody decides
        let draft = draft(&ctx, batch.clone(), job).await?;
        ctx.publish(&draft);
        let by = decision(&ctx, &draft).await?;
        ctx.activity(publish, batch.clone()).await?;
        ctx.activity(discard, batch).await?;
        Ok(Published { draft, approved_by: by })
    })
    .await
}

/// Every document by itself, side by side; then the index of all that could be read.
async fn draft(ctx: &WorkflowContext, batch: String, job: Job) -> Result<Draft, WorkflowError> {
    let names = ctx.activity(list, job.folder.clone()).await?;
    let source =
        |name: &String| Source { batch: batch.clone(), folder: job.folder.clone(), name: name.clone() };
    let sources: Vec<Source> = names.iter().map(source).collect();
    let prepared = ctx.map(prepare, sources).concurrency(8).tolerate(job.tolerate).await?;
    let (mut readable, mut left_out) = (Vec::new(), Vec::new());
    for (name, result) in names.into_iter().zip(prepared) {
        match result {
            Ok(_chunks) => readable.push(name),
            Err(failure) => left_out.push(failure.to_string()),
        }
    }
    let (chunks, words) = ctx.activity(index, (batch.clone(), readable)).await?;
    Ok(Draft { batch, chunks, words, left_out })
}

/// Who has approved the draft. Whoever was told first has two days; then somebody else is told, too.
async fn decision(ctx: &WorkflowContext, draft: &Draft) -> Result<String, WorkflowError> {
    let decisions = ctx.signals::<Decide>();
    let mut decided = decisions.recv().within(days(PATIENCE_DAYS)).await?;
    if decided.is_none() {
        ctx.activity(escalate, draft.clone()).await?;
        decided = decisions.recv().within(days(LAST_CALL_DAYS)).await?;
    }
    match decided {
        Some(Decide { by, publish: true }) => Ok(by),
        Some(Decide { by, .. }) => Err(ApplicationFailure::new("Refused", format!("{by} refused it")).into()),
        None => Err(ApplicationFailure::new("NobodyDecided", "nobody decided in a week").into()),
    }
}

/// Everything that the program can run.
pub fn app(workspace: Workspace) -> App {
    let app = App::new().share(workspace).workflow(index_documents);
    app.activity(list)
        .activity(prepare)
        .activity(index)
        .activity(escalate)
        .activity(publish)
        .activity(discard)
}
