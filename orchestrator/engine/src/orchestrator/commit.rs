//! The commit: one conditional write, recognised when its reply is lost (G3, G5).

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use millrace_core::decide::Decision;
use millrace_core::{Payload, Run, RunId, WorkflowId};
use millrace_format::history::{self, Commit};
use millrace_format::{Header, Reference};

use super::Orchestrator;
use super::turn::TurnError;
use crate::load::{Loaded, SIDE_BY_SIDE};
use crate::ports::{Condition, ETag, PutError, StoreError};

/// How often a write that met another in flight (409) is sent again.
const MOST_BUSY: u32 = 5;

/// Whether the turn is in the log.
pub(super) enum Committed {
    Yes,
    /// Somebody else's write stands: this one, if it was read.
    No(Option<Box<Loaded>>),
}

/// How a write ended.
enum Written {
    /// It stands, under this version.
    Ours(ETag),
    Not(Option<Box<Loaded>>),
}

impl Orchestrator {
    /// Writes the turn. On `Yes`, `loaded` is the run as committed.
    pub(super) async fn commit(
        &self,
        id: &WorkflowId,
        loaded: &mut Loaded,
        decision: &Decision,
    ) -> Result<Committed, TurnError> {
        let Some(live) = &mut loaded.live else { return Ok(Committed::No(None)) };
        if let Some(earlier) = &decision.replaces {
            Box::pin(self.archive(id, earlier, loaded.body.clone())).await?;
            loaded.tail = history::Tail::empty();
        } else if let Some(sealed) = self.seal(id, &live.run, &loaded.tail, decision).await? {
            loaded.tail = sealed;
        }
        let large = loaded.tail.push_above(&decision.events, self.config.offload_above_bytes);
        self.offload((id, live.run.info.run_id), large).await?;
        live.run.turn += 1;
        let nonce = format!("{:032x}", self.ports.entropy.bits());
        let header = Header::of(&live.run, Commit { nonce: &nonce, build: &self.config.build }, &loaded.tail);
        let body = history::encode(&header, &loaded.tail.text)
            .map_err(|e| StoreError::Invalid { key: self.reader.keys.history(id), reason: e.to_string() })?;
        let of_run = (id, live.run.info.run_id);
        let body = Bytes::from(body);
        match self.put(of_run, body.clone(), loaded.etag.as_ref(), &nonce).await? {
            Written::Ours(etag) => {
                loaded.etag = Some(etag);
                loaded.body = body;
                Ok(Committed::Yes)
            }
            Written::Not(theirs) => Ok(Committed::No(theirs)),
        }
    }

    /// Writes payloads that are too large for the history's text, before the commit that refers to them. If that is lost,
    /// they lie there unused until the run is removed.
    async fn offload(
        &self,
        (id, run_id): (&WorkflowId, RunId),
        large: Vec<(Reference, Payload)>,
    ) -> Result<(), TurnError> {
        let puts = large.into_iter().map(|(reference, payload)| {
            let key = self.reader.keys.payload(id, run_id, reference.sha256);
            // Whoever writes it writes the same: without a condition nobody has to look whether it is there.
            self.put_same(key, Bytes::from_owner(Text(payload)), Condition::Always)
        });
        stream::iter(puts.collect::<Vec<_>>()).buffer_unordered(SIDE_BY_SIDE).try_collect().await
    }

    /// One compare-and-swap.
    async fn put(
        &self,
        (id, run_id): (&WorkflowId, RunId),
        body: Bytes,
        read: Option<&ETag>,
        nonce: &str,
    ) -> Result<Written, TurnError> {
        let key = self.reader.keys.history(id);
        let condition = read.map_or(Condition::Absent, |etag| Condition::Matches(etag.clone()));
        for _ in 0..MOST_BUSY {
            match self.ports.store.put(&key, body.clone(), condition.clone()).await {
                Ok(etag) => return Ok(Written::Ours(etag)),
                Err(PutError::Busy) => {}
                Err(PutError::Conflict | PutError::Gone) => return Box::pin(self.own_write(id, nonce)).await,
                Err(PutError::Unknown(reason)) => {
                    tracing::warn!(workflow_id = %id, %run_id, reason, "the outcome of a commit is unknown; reading it again");
                    return Box::pin(self.own_write(id, nonce)).await;
                }
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(Written::Not(None))
    }

    /// G5: if the last commit carries our nonce, it was ours after all. If not, what was read is what the next try
    /// decides on: it need not be read again.
    async fn own_write(&self, id: &WorkflowId, nonce: &str) -> Result<Written, TurnError> {
        let now = self.reader.load(id).await?;
        Ok(match &now.etag {
            Some(etag) if now.nonce == nonce => Written::Ours(etag.clone()),
            _ => Written::Not(Some(Box::new(now))),
        })
    }

    /// Seals a tail that has grown too long. All of it was committed in the version just read; whoever seals it writes
    /// the same bytes, so a part that exists is this one.
    async fn seal(
        &self,
        id: &WorkflowId,
        run: &Run,
        tail: &history::Tail,
        decision: &Decision,
    ) -> Result<Option<history::Tail>, TurnError> {
        let committed = run.last_event - decision.events.len() as u64;
        let key =
            |part: history::SealedPart| self.reader.keys.events(id, run.info.run_id, part.first, part.last);
        let sealed =
            tail.seal(committed).map_err(|e| StoreError::Unavailable(format!("cannot compress: {e}")))?;
        let Some((part, bytes)) = sealed else { return Ok(None) };
        self.put_once(&key(part), bytes.into()).await?;
        Ok(Some(tail.sealed(part)))
    }

    /// Close, then replace: the closed head goes to its archive, byte for byte, and what it left to do is done, before
    /// the head goes on to a new run.
    async fn archive(&self, id: &WorkflowId, closed: &Run, head: Bytes) -> Result<(), TurnError> {
        self.put_once(&self.reader.keys.archive(id, closed.info.run_id), head).await?;
        let now = self.ports.clock.now();
        // Whoever was told so long ago may have forgotten it, and would take it for something new.
        let (old, left): (Vec<_>, Vec<_>) =
            closed.effects.values().cloned().partition(|pending| {
                pending.effect.told_at().is_some_and(|at| now.since(at) > Run::CARRY_FOR)
            });
        if !old.is_empty() {
            tracing::info!(workflow_id = %id, run_id = %closed.info.run_id, effects = old.len(), "effects are too old to be repeated");
        }
        self.dispatcher.dispatch(closed, &left).await?;
        Ok(())
    }

    /// Writes an object that is the same whoever writes it. A conflict says that somebody has; but a history may be lost with
    /// a part that is not there, so it is looked for.
    async fn put_once(&self, key: &str, body: Bytes) -> Result<(), TurnError> {
        self.put_same(key.to_owned(), body, Condition::Absent).await
    }

    async fn put_same(&self, key: String, body: Bytes, condition: Condition) -> Result<(), TurnError> {
        for _ in 0..MOST_BUSY {
            match self.ports.store.put(&key, body.clone(), condition.clone()).await {
                Ok(_) => return Ok(()),
                Err(PutError::Conflict) if self.ports.store.get(&key).await?.is_some() => return Ok(()),
                Err(PutError::Conflict) => {}
                Err(PutError::Busy | PutError::Gone | PutError::Unknown(_)) => {}
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::Unavailable(format!("`{key}` cannot be written now")).into())
    }
}

/// A payload's text, as bytes that are not copied.
struct Text(Payload);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}
