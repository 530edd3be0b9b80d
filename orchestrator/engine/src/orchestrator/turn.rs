//! The turn (DESIGN §3): load, decide, commit, dispatch, acknowledge.

use std::time::Duration;

use millrace_core::decide::{Decision, Live, Turn};
use millrace_core::{Fork, Identity, Incoming, Message, RunId, SourceLog, Verdict, WorkflowId, decide};

use super::commit::Committed;
use super::locals::Ends;
use super::settle::longer;
use super::settle::run_of;
use super::{Orchestrator, Received};
use crate::cache::Cached;
use crate::dispatch::DispatchError;
use crate::load::{LoadError, Loaded};
use crate::ports::StoreError;

/// After this many lost races the messages are given back, so that the next receive is a fuller batch.
const MOST_CONFLICTS: u32 = 2;

/// After this many turns the messages are given back: code that continues as new at once would never let go of them.
const MOST_ROUNDS: u32 = 50;

/// What stops a turn. The messages stay in their queue and come again.
#[derive(Debug, thiserror::Error)]
pub(super) enum TurnError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
}

/// How one try at a turn ended.
enum Tried {
    /// It is done; these messages are to be decided again, on the run as it was left, if that is given.
    Done(Vec<Received>, Option<Box<Loaded>>),
    /// Somebody else committed first: this, if it was read.
    Conflict(Option<Box<Loaded>>),
}

impl Orchestrator {
    /// Makes turns of one workflow until all its messages are dealt with.
    pub(super) async fn turns(&self, id: WorkflowId, mut batch: Vec<Received>) {
        let slot = self.cache.slot(&id);
        let mut cached = slot.lock().await;
        let mut conflicts = 0;
        let mut just_read = None;
        let mut ends = Ends::new();
        let mut rounds = 0;
        while !batch.is_empty() {
            match self.turn(&id, (&mut cached, just_read.take()), &batch, &mut ends).await {
                Ok(Tried::Done(again, left)) => {
                    (batch, just_read) = (again, left);
                    ends.clear(); // They were that turn's: the next may be another run's.
                    rounds += 1;
                    if rounds == MOST_ROUNDS && !batch.is_empty() {
                        self.send_back(&id, &batch, Duration::from_secs(1)).await;
                        break;
                    }
                }
                Ok(Tried::Conflict(theirs)) => {
                    conflicts += 1;
                    self.counters.conflicts.add(1);
                    just_read = theirs;
                    if conflicts == MOST_CONFLICTS {
                        let spread = self.ports.entropy.bits() as u64 % 2_000;
                        self.send_back(&id, &batch, Duration::from_millis(100 + spread)).await;
                        break;
                    }
                }
                Err(error) => {
                    *cached = None;
                    self.failed(&id, &batch, &error).await;
                    break;
                }
            }
        }
        if cached.is_none() {
            self.cache.forget(&id);
        }
    }

    async fn turn(
        &self,
        id: &WorkflowId,
        (cached, just_read): (&mut Option<Cached>, Option<Box<Loaded>>),
        batch: &[Received],
        ends: &mut Ends,
    ) -> Result<Tried, TurnError> {
        // Anything but a successful commit drops the cached run (G12): it is taken out, and put back only then.
        let (mut loaded, warm) = match (cached.take(), just_read) {
            (Some(Cached { live, tail, etag }), _) => {
                let (body, nonce) = (bytes::Bytes::new(), String::new());
                (Loaded { live: Some(live), tail, etag: Some(etag), body, nonce }, true)
            }
            (None, Some(read)) => (*read, false),
            (None, None) => (Box::pin(self.reader.load(id)).await?, false),
        };
        let current = loaded.live.as_ref().map(|live| live.run.info.run_id);
        let messages = self.with_sources((id, current), batch).await?;
        let mut decision = decide(&mut loaded.live, &messages, &self.a_turn(id));
        if warm
            && !decision.commits()
            && let Some(fresh) = Box::pin(self.reader.load_unless(id, loaded.etag.as_ref())).await?
        {
            loaded = fresh;
            decision = decide(&mut loaded.live, &messages, &self.a_turn(id));
        }
        if !decision.commits() {
            let run = loaded.live.as_ref().map(|live| &live.run);
            let again = self.settle(id, run, batch, &decision).await?;
            keep(cached, loaded);
            return Ok(Tried::Done(again, None));
        }
        if !decision.locals.is_empty() {
            decision = Box::pin(self.run_locals(id, &mut loaded, decision, ends)).await;
        }
        match self.commit(id, &mut loaded, &decision).await? {
            Committed::Yes => self.committed(&loaded, batch, &decision),
            Committed::No(theirs) => return Ok(Tried::Conflict(theirs)),
        }
        self.tell_absorbed(&loaded, batch, &decision);
        let at_rest = |live: &Live| live.run.blocked.is_some() || !live.run.status.is_open();
        self.notices.committed(id, loaded.live.as_ref().is_none_or(at_rest));
        // Only the run: a future that holds the code across an await could not move between threads.
        // Effects first, acknowledgements after (G4).
        let mut again = Vec::new();
        if let Some(run) = loaded.live.as_mut().map(|live| &mut live.run) {
            self.dispatcher.dispatch(run, &decision.effects).await?;
            decision.effects.iter().for_each(|done| run.has_done(&done.effect));
            again = self.settle(id, Some(run), batch, &decision).await?;
        }
        // A closed run is not kept, but what follows it need not read what was written just now.
        let closed = |live: &Live| !live.run.status.is_open();
        if !again.is_empty() && loaded.live.as_ref().is_some_and(closed) {
            return Ok(Tried::Done(again, Some(Box::new(loaded))));
        }
        keep(cached, loaded);
        Ok(Tried::Done(again, None))
    }

    /// The messages, those that fork a run together with its events. They are read for each turn anew: between the end of a
    /// run and the begin of the one that replaces it nothing may be missed.
    async fn with_sources(
        &self,
        (id, current): (&WorkflowId, Option<RunId>),
        batch: &[Received],
    ) -> Result<Vec<Incoming>, TurnError> {
        let mut messages: Vec<Incoming> = batch.iter().map(|received| received.incoming.clone()).collect();
        for message in &mut messages {
            if let Message::Fork(fork) = &mut message.message {
                fork.log = self.source(fork).await?;
                let source = fork.log.as_ref().ok().map(|log| log.run_id);
                if let Some(other) =
                    current.filter(|run| fork.replaces && source.is_some_and(|of| of != *run))
                {
                    let log = self.reader.source(id, Some(other)).await?;
                    fork.replaced = log.map(|log| log.events);
                }
            }
        }
        Ok(messages)
    }

    async fn source(&self, fork: &Fork) -> Result<Result<SourceLog, String>, TurnError> {
        match self.reader.source(&fork.source, fork.source_run).await {
            Ok(Some(source)) => Ok(Ok(source)),
            Ok(None) => {
                let run = fork.source_run.map_or_else(String::new, |run| format!(" with a run {run}"));
                Ok(Err(format!("from: there is no workflow `{}`{run}", fork.source)))
            }
            // Not to be met again and again by the workflow that the new run is for.
            Err(error @ (LoadError::Corrupt(_) | LoadError::Newer { .. })) => {
                Ok(Err(format!("from: {error}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn a_turn<'a>(&'a self, id: &'a WorkflowId) -> Turn<'a> {
        Turn {
            workflow_id: id,
            now: self.ports.clock.now(),
            build: &self.config.build,
            entropy: self.ports.entropy.bits(),
            secret: self.ports.entropy.bits(),
            code: self.code.as_ref(),
            runaway: self.config.runaway,
        }
    }

    /// The turn is in the log: it is counted, and told to whoever reads logs.
    fn committed(&self, loaded: &Loaded, batch: &[Received], decision: &Decision) {
        self.counters.turns.add(1);
        let Some(run) = loaded.live.as_ref().map(|live| &live.run) else { return };
        let (workflow_id, run_id) = (&run.info.workflow_id, run.info.run_id);
        for event in &decision.events {
            if let millrace_core::EventKind::RunBlocked(e) = &event.kind {
                self.counters.runs_blocked.add(1);
                tracing::error!(%workflow_id, %run_id, reason = %e.reason, "the run is blocked");
            }
        }
        let (events, effects, messages) = (decision.events.len(), decision.effects.len(), batch.len());
        // At `debug`: the embedded engine shows `info` to a person, and makes thousands of turns a second.
        tracing::debug!(target: "millrace::turn", %workflow_id, %run_id, turn = run.turn, events, effects, messages, "committed");
    }

    /// Clients in this process need not look for their requests in the log.
    fn tell_absorbed(&self, loaded: &Loaded, batch: &[Received], decision: &Decision) {
        let Some(run_id) = loaded.live.as_ref().map(|live| live.run.info.run_id) else { return };
        for (received, verdict) in batch.iter().zip(&decision.verdicts) {
            if let (Verdict::Absorbed, Identity::Request(id)) =
                (verdict, received.incoming.message.identity())
            {
                self.notices.has_absorbed(&id, run_id);
            }
        }
    }

    async fn failed(&self, id: &WorkflowId, batch: &[Received], error: &TurnError) {
        self.counters.turns_failed.add(1);
        let (run_id, messages) = (run_of(batch), batch.len());
        tracing::warn!(workflow_id = %id, run_id, %error, messages, "the turn failed; its messages come again");
        // A history that cannot be read will not get better within a second.
        let first = match error {
            TurnError::Load(LoadError::Corrupt(_) | LoadError::Newer { .. }) => Duration::from_secs(60),
            _ => Duration::from_secs(2),
        };
        self.give_back(batch, |received| longer(first, received.delivery.receive_count)).await;
    }
}

/// Keeps a run for the next turn if its code is up to date.
fn keep(cached: &mut Option<Cached>, loaded: Loaded) {
    let Loaded { live: Some(mut live), tail, etag: Some(etag), .. } = loaded else { return };
    if live.replay.is_some() {
        live.history = Vec::new();
        *cached = Some(Cached { live, tail, etag });
    }
}

/// What a verdict asks of the settling: told apart here so that `settle` reads as a list.
pub(super) fn is_known(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Repeated | Verdict::Stale(_))
}
