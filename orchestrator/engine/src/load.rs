//! Reading histories.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::{Event, RunId, SourceLog, WorkflowId, decide::Live};
use millrace_format::history::{self, FORMAT, Tail};
use millrace_format::{Corrupt, Head, Header, Keys};

use crate::ports::{ETag, ObjectStore, StoreError};

/// A history that could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it answered cannot be what was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A newer build wrote it; this one must leave it alone.
    #[error("the history `{key}` has format {format}, this build knows up to {FORMAT}; deploy a newer build")]
    Newer {
        /// The object.
        key: String,
        /// The format it is in.
        format: u64,
    },
}

/// A workflow's current run as it was read, ready for a turn.
pub(crate) struct Loaded {
    /// The run; absent if the workflow has none.
    pub live: Option<Live>,
    /// Its events that are not sealed.
    pub tail: Tail,
    /// The version that was read; absent if there is none.
    pub etag: Option<ETag>,
    /// The object's bytes, for the archive.
    pub body: Bytes,
    /// The last commit's nonce.
    pub nonce: String,
}

impl Loaded {
    /// There is no such workflow.
    fn none() -> Self {
        let (body, nonce) = (Bytes::new(), String::new());
        Self { live: None, tail: Tail::empty(), etag: None, body, nonce }
    }
}

/// Reads histories from the bucket.
#[derive(Clone)]
pub struct Reader {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) keys: Keys,
}

impl Reader {
    /// A reader of one namespace.
    pub fn new(store: Arc<dyn ObjectStore>, keys: Keys) -> Self {
        Self { store, keys }
    }

    /// The history object of a workflow's current run; `None` if there is none.
    pub async fn head(&self, id: &WorkflowId) -> Result<Option<Head>, LoadError> {
        Ok(self.read(&self.keys.history(id)).await?.map(|(head, ..)| head))
    }

    /// The same, with the version that was read.
    pub(crate) async fn versioned_head(&self, id: &WorkflowId) -> Result<Option<(Head, ETag)>, LoadError> {
        Ok(self.read(&self.keys.history(id)).await?.map(|(head, etag, _)| (head, etag)))
    }

    /// The history object of a run, whether current or archived; `None` if there is none.
    pub async fn head_of(&self, id: &WorkflowId, run: RunId) -> Result<Option<Head>, LoadError> {
        match self.head(id).await? {
            Some(head) if head.header.run_id == run => Ok(Some(head)),
            _ => Ok(self.read(&self.keys.archive(id, run)).await?.map(|(head, ..)| head)),
        }
    }

    /// All events of a run whose head was read.
    pub async fn events(&self, head: &Head) -> Result<Vec<Event>, LoadError> {
        let header = &head.header;
        let mut events = Vec::new();
        for part in &header.parts {
            let key = self.keys.events(&header.workflow_id, header.run_id, part.first, part.last);
            let object = self.store.get(&key).await?;
            let missing =
                || Corrupt { key: key.clone(), line: 0, reason: "the sealed part is missing".into() };
            let object = object.ok_or_else(missing)?;
            events.extend(history::decode_part(&key, *part, &object.body)?);
        }
        events.extend(head.events.iter().cloned());
        Self::check_sequence(header, &events, &self.keys)?;
        Ok(events)
    }

    /// The events of a run that another is to begin with; `None` if there is no such run.
    pub(crate) async fn source(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
    ) -> Result<Option<SourceLog>, LoadError> {
        let head = match run {
            None => self.head(id).await?,
            Some(run) => self.head_of(id, run).await?,
        };
        let Some(head) = head else { return Ok(None) };
        let events = self.events(&head).await?.into();
        Ok(Some(SourceLog { run_id: head.header.run_id, events }))
    }

    /// The current run with everything a turn needs.
    pub(crate) async fn load(&self, id: &WorkflowId) -> Result<Loaded, LoadError> {
        let Some((head, etag, body)) = self.read(&self.keys.history(id)).await? else {
            return Ok(Loaded::none());
        };
        let history = match self.events(&head).await {
            // A part may be missing because the run has been purged since its head was read.
            Err(LoadError::Corrupt(_)) if self.read(&self.keys.history(id)).await?.is_none() => {
                return Ok(Loaded::none());
            }
            history => history?,
        };
        let run = head.header.restore(&history);
        let nonce = head.header.nonce;
        let live = Some(Live { run, replay: None, history });
        Ok(Loaded { live, tail: head.tail, etag: Some(etag), body, nonce })
    }

    async fn read(&self, key: &str) -> Result<Option<(Head, ETag, Bytes)>, LoadError> {
        let Some(object) = self.store.get(key).await? else { return Ok(None) };
        if let Some(format) = newer_format(&object.body) {
            return Err(LoadError::Newer { key: key.to_owned(), format });
        }
        Ok(Some((Head::decode(key, &object.body)?, object.etag, object.body)))
    }

    fn check_sequence(header: &Header, events: &[Event], keys: &Keys) -> Result<(), Corrupt> {
        let in_order = events.iter().zip(1..).all(|(event, n)| event.n == n);
        if in_order && events.len() as u64 == header.last {
            return Ok(());
        }
        let reason = format!("parts and tail do not make the events 1 to {}", header.last);
        Err(Corrupt { key: keys.history(&header.workflow_id), line: 1, reason })
    }
}

/// The format of a history that this build is too old for.
fn newer_format(body: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Mark {
        format: u64,
    }
    let line = body.split(|b| *b == b'\n').next()?;
    let mark: Mark = serde_json::from_slice(line).ok()?;
    (mark.format > u64::from(FORMAT)).then_some(mark.format)
}
