//! Reading histories.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use millrace_core::{Event, Payload, Run, RunId, SourceLog, WorkflowId, decide::Live};
use millrace_format::history::{self, FORMAT, Stored, Tail};
use millrace_format::{ContentHash, Corrupt, Head, Header, Keys, Line};

use crate::ports::{ETag, ObjectStore, StoreError};

/// How many large payloads are read or written side by side.
pub(crate) const SIDE_BY_SIDE: usize = 16;

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

    /// All events of a run whose head was read, whole.
    pub async fn events(&self, head: &Head) -> Result<Vec<Event>, LoadError> {
        self.whole(&head.header, self.lines(head).await?).await
    }

    /// All lines of a run whose head was read. Large payloads are left where they are.
    pub async fn lines(&self, head: &Head) -> Result<Vec<Line>, LoadError> {
        let header = &head.header;
        let mut lines = Vec::new();
        for part in &header.parts {
            let key = self.keys.events(&header.workflow_id, header.run_id, part.first, part.last);
            let object = self.store.get(&key).await?;
            let missing =
                || Corrupt { key: key.clone(), line: 0, reason: "the sealed part is missing".into() };
            let object = object.ok_or_else(missing)?;
            lines.extend(history::decode_part(&key, *part, &object.body)?);
        }
        lines.extend(head.lines()?);
        Self::check_sequence(header, &lines, &self.keys)?;
        Ok(lines)
    }

    /// The events of lines of one run: large payloads are fetched, each once, and put back.
    pub async fn whole(&self, header: &Header, lines: Vec<Line>) -> Result<Vec<Event>, LoadError> {
        let mut large: BTreeMap<ContentHash, (u64, Stored)> = BTreeMap::new();
        for line in &lines {
            for stored in line.stored() {
                large.entry(stored.reference.sha256).or_insert_with(|| (line.outline().n, stored.clone()));
            }
        }
        let fetches = large.into_values().map(|(event, stored)| self.payload(header, event, stored));
        // Collected first: a future that borrows in a closure could not move between threads.
        let fetches: Vec<_> = fetches.collect();
        let fetched: BTreeMap<_, _> =
            stream::iter(fetches).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        let whole = |line: Line| {
            let n = line.outline().n;
            let filled = line.filled(|reference| fetched.get(&reference.sha256).cloned());
            filled.map_err(|stored| self.lost(header, n, &stored, "it was not fetched"))
        };
        lines.into_iter().map(whole).collect()
    }

    /// The last event of a run whose head was read, whole.
    pub(crate) async fn last(&self, head: &Head) -> Result<Option<Event>, LoadError> {
        let last = head.last.iter().cloned().collect();
        Ok(self.whole(&head.header, last).await?.pop())
    }

    async fn payload(
        &self,
        header: &Header,
        event: u64,
        stored: Stored,
    ) -> Result<(ContentHash, Payload), LoadError> {
        let key = self.keys.payload(&header.workflow_id, header.run_id, stored.reference.sha256);
        let Some(object) = self.store.get(&key).await? else {
            return Err(self.lost(header, event, &stored, "it is missing"));
        };
        let payload = stored.reference.verify(&object.body);
        let payload = payload.map_err(|reason| self.lost(header, event, &stored, &reason))?;
        Ok((stored.reference.sha256, payload))
    }

    fn lost(&self, header: &Header, event: u64, stored: &Stored, reason: &str) -> LoadError {
        let key = self.keys.payload(&header.workflow_id, header.run_id, stored.reference.sha256);
        let reason = format!("of event {event} this is the `{}`, and {reason}", stored.place);
        Corrupt { key, line: 0, reason }.into()
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
        match self.read(&self.keys.history(id)).await? {
            Some(read) => self.loaded(read).await,
            None => Ok(Loaded::none()),
        }
    }

    /// The same, unless it is still the version that is known: then only the head is read.
    pub(crate) async fn load_unless(
        &self,
        id: &WorkflowId,
        known: Option<&ETag>,
    ) -> Result<Option<Loaded>, LoadError> {
        match self.read(&self.keys.history(id)).await? {
            Some((_, etag, _)) if Some(&etag) == known => Ok(None),
            Some(read) => self.loaded(read).await.map(Some),
            None if known.is_none() => Ok(None),
            None => Ok(Some(Loaded::none())),
        }
    }

    /// The current run as its log tells it, but for large payloads: for whoever asks about anything else. Nothing if there is
    /// none, or still the version that is known: then only the head is read.
    pub(crate) async fn outline_unless(
        &self,
        id: &WorkflowId,
        known: Option<&ETag>,
    ) -> Result<Option<(Run, ETag)>, LoadError> {
        let Some((head, etag)) = self.versioned_head(id).await?.filter(|(_, etag)| Some(etag) != known)
        else {
            return Ok(None);
        };
        let lines = self.lines(&head).await?;
        let outlines: Vec<Event> = lines.iter().map(|line| line.outline().clone()).collect();
        Ok(Some((head.header.restore(&outlines), etag)))
    }

    async fn loaded(&self, (head, etag, body): (Head, ETag, Bytes)) -> Result<Loaded, LoadError> {
        let id = head.header.workflow_id.clone();
        let read = async {
            let lines = self.lines(&head).await?;
            let mut tail = head.tail.clone();
            tail.note_stored(&lines);
            Ok((tail, self.whole(&head.header, lines).await?))
        };
        let (tail, history) = match read.await {
            // A part may be missing because the run has been purged since its head was read.
            Err(LoadError::Corrupt(_)) if self.read(&self.keys.history(&id)).await?.is_none() => {
                return Ok(Loaded::none());
            }
            read => read?,
        };
        let header = head.header;
        let run = header.restore(&history);
        let live = Some(Live { run, replay: None, history });
        Ok(Loaded { live, tail, etag: Some(etag), body, nonce: header.nonce })
    }

    async fn read(&self, key: &str) -> Result<Option<(Head, ETag, Bytes)>, LoadError> {
        let Some(object) = self.store.get(key).await? else { return Ok(None) };
        let head = Head::decode(key, &object.body).map_err(|corrupt| match newer_format(&object.body) {
            Some(format) => LoadError::Newer { key: key.to_owned(), format },
            None => corrupt.into(),
        })?;
        Ok(Some((head, object.etag, object.body)))
    }

    fn check_sequence(header: &Header, lines: &[Line], keys: &Keys) -> Result<(), Corrupt> {
        let in_order = lines.iter().zip(1..).all(|(line, n)| line.outline().n == n);
        if in_order && lines.len() as u64 == header.last {
            return Ok(());
        }
        let reason = format!("parts and tail do not make the events 1 to {}", header.last);
        Err(Corrupt { key: keys.history(&header.workflow_id), line: 1, reason })
    }
}

/// The format of a history that cannot be read because this build is too old for it.
fn newer_format(body: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Mark {
        format: u64,
    }
    let line = body.split(|b| *b == b'\n').next()?;
    let mark: Mark = serde_json::from_slice(line).ok()?;
    (mark.format > u64::from(FORMAT)).then_some(mark.format)
}
