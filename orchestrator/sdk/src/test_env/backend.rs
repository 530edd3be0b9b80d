//! The world as a client's backend.

use std::time::Duration;

use async_trait::async_trait;
use millrace_core::{
    Event, EventKind, Incoming, Message, Payload, Replay, RequestId, RunId, Verdict, WorkflowFailure,
    WorkflowId,
};
use millrace_engine::{ListFilter, Listed, Outcome};
use millrace_format::history::{Commit, Header, Tail};
use millrace_format::message::{self, InboxMessage};
use millrace_format::{Attributes, Head, IndexEntry, Line};

use super::entry::Record;
use super::stage::Stage;
use super::world::{BUILD, Due, Inside, Letter, World};
use crate::RunError;
use crate::client::{Backend, Description, Filter, Sent};

/// A client's request, and its id.
type Request = (RequestId, Letter);

fn is_completion(message: &Message) -> bool {
    matches!(message, Message::Completion { .. })
}

impl World {
    fn entry(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Record<'_>, RunError> {
        let found = self.workflows.get(id).and_then(|entry| entry.find(run));
        found.ok_or_else(|| not_found(id, run))
    }

    /// The run that is named and no other; the current one if none is.
    fn exactly(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Record<'_>, RunError> {
        let is_wanted = |record: &Record<'_>| run.is_none_or(|run| record.run.info.run_id == run);
        let found = self.workflows.get(id).and_then(|entry| entry.runs().filter(is_wanted).last());
        found.ok_or_else(|| not_found(id, run))
    }

    /// The last of the runs that continue the one wanted.
    fn last(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Record<'_>, RunError> {
        let mut record = self.entry(id, run)?;
        while let Some(next) = record.run.continued.as_ref().filter(|_| record.blocked.is_none()) {
            record = self.entry(id, Some(next.new_run_id))?;
        }
        Ok(record)
    }

    fn outcome(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Option<Outcome>, RunError> {
        let record = self.last(id, run)?;
        if let Some(mark) = record.blocked {
            return Ok(Some(Outcome::Blocked(Box::new(mark.clone()))));
        }
        let workflow = record.run.info.workflow.to_string();
        Ok(record.run.outcome.clone().map(|outcome| match outcome {
            Ok(result) => Outcome::Completed(result),
            Err(fault) => Outcome::Failed(WorkflowFailure { workflow, fault }),
        }))
    }

    fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
    ) -> Result<Option<Payload>, RunError> {
        let record = self.last(id, run)?;
        let runs = self.workflows.get(id).into_iter().flat_map(|entry| entry.runs());
        let answer = runs.flat_map(|record| record.history).find_map(|event| answer_of(event, update));
        if let Some(answer) = answer {
            return answer.map(Some);
        }
        if let Some(reason) = record.run.rejection(update) {
            return Err(RunError::Rejected(reason.to_owned()));
        }
        if let Some(mark) = record.blocked {
            return Err(RunError::Blocked(mark.reason.clone()));
        }
        if !record.run.status.is_open() {
            return Err(RunError::Rejected("the workflow ended before it answered".into()));
        }
        Ok(None)
    }

    /// Delivers a request and says what became of it.
    fn request(&mut self, (request_id, letter): Request) -> Result<Sent, RunError> {
        let id = letter.to.clone();
        let verdict = self.turn(&letter);
        let rejected = match &verdict {
            Verdict::Refused(reason) | Verdict::Rejected(reason) => Some(reason.clone()),
            Verdict::Elsewhere(run_id) => self.lost_elsewhere(&letter, *run_id),
            Verdict::Stale(reason) => Some(self.stale(&letter, reason)),
            _ => None,
        };
        let run = self.workflows.get(&id).and_then(|entry| entry.current());
        if let Some(mark) = self.workflows.get(&id).and_then(|entry| entry.broken.as_ref()) {
            return Err(RunError::Blocked(mark.reason.clone()));
        }
        let reported = letter.incoming.run_id.filter(|_| is_completion(&letter.incoming.message));
        let run_id = run.and_then(|record| record.run.absorbed_request(&request_id)).or(reported);
        if let Some(reason) = rejected {
            return Err(RunError::Rejected(reason));
        }
        self.settle(letter, &verdict);
        Ok(Sent { request_id, run_id })
    }

    fn stale(&self, letter: &Letter, reason: &str) -> String {
        let Ok(Record { run, .. }) = self.entry(&letter.to, None) else { return reason.to_owned() };
        let (id, run_id) = (&letter.to, run.info.run_id);
        match &letter.incoming.message {
            Message::Resume { .. } => {
                let stands = if run.status.is_open() { "is not blocked" } else { "is closed" };
                format!("run {run_id} of `{id}` {stands}: there is nothing to resume")
            }
            _ if run.status.is_open() => reason.to_owned(),
            _ => format!("run {run_id} of `{id}` is {} already", run.status),
        }
    }
}

fn answer_of(event: &Event, update: &RequestId) -> Option<Result<Payload, RunError>> {
    match &event.kind {
        EventKind::UpdateCompleted(e) if e.request_id == *update => Some(Ok(e.result.clone())),
        EventKind::UpdateRejected(e) if e.request_id == *update => {
            Some(Err(RunError::Rejected(e.reason.clone())))
        }
        _ => None,
    }
}

fn describe(record: Record<'_>) -> Description {
    let header = Header::of(record.run, Commit { nonce: BUILD, build: BUILD }, &Tail::empty());
    let header = Header { blocked: record.blocked.cloned(), ..header };
    let last = record.history.last().cloned().map(Line::from);
    Head { key: String::new(), header, tail: Tail::empty(), last }.into()
}

fn listed(record: Record<'_>) -> Listed {
    let Record { run, history, blocked } = record;
    let closed = history.last().filter(|_| !run.status.is_open());
    let entry = IndexEntry {
        workflow_id: run.info.workflow_id.clone(),
        run_id: run.info.run_id,
        workflow: run.info.workflow.clone(),
        status: run.status,
        started_at: run.info.started_at,
        closed_at: closed.map(|event| event.t),
        attributes: Attributes::of_recorded(run.started.as_ref().and_then(|e| e.attributes.as_ref())),
    };
    Listed { entry, blocked: blocked.cloned(), paused: run.paused.clone() }
}

impl Stage {
    /// Completes a request and checks it as the door does.
    fn letter(&self, mut message: InboxMessage) -> Result<Request, RunError> {
        let mut world = self.open();
        let n = world.count();
        let (_, request_id) = message.to_complete();
        if request_id.is_none() {
            *request_id = RequestId::new(format!("request-{n}")).ok();
        }
        let request_id = request_id.clone();
        let addressed = message::read_inbox(&message::write(&message), "unused")
            .map_err(|bad| RunError::Rejected(bad.to_string()))?;
        let must_exist =
            !matches!(addressed.message, Message::Start(_) | Message::Fork(_) | Message::Signal { .. });
        if must_exist {
            world.entry(&addressed.workflow_id, addressed.run_id)?;
        }
        let (run_id, sent_at) = (addressed.run_id, world.now);
        let incoming = Incoming { message: addressed.message, run_id, sent_at, receive_count: 1 };
        let request_id = request_id.ok_or_else(|| RunError::Rejected("request_id: is missing".into()))?;
        Ok((request_id, Letter { to: addressed.workflow_id, incoming }))
    }
}

#[async_trait]
impl Backend for Stage {
    fn name(&self) -> String {
        "a test".into()
    }

    fn is_live(&self) -> bool {
        true
    }

    async fn send(&self, message: InboxMessage) -> Result<Sent, RunError> {
        let request = self.letter(message)?;
        let sent = self.open().request(request);
        self.settle()?;
        sent
    }

    async fn enqueue(&self, message: InboxMessage) -> Result<Sent, RunError> {
        let (request_id, letter) = self.letter(message)?;
        let mut world = self.open();
        let now = world.now;
        world.put(now, Due::Message(Box::new(letter)));
        Ok(Sent { request_id, run_id: None })
    }

    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError> {
        let absorbed = |world: &World| {
            let current = world.workflows.get(id).and_then(|entry| entry.current());
            current.and_then(|record| record.run.absorbed_request(request))
        };
        if wait.is_zero() {
            return Ok(absorbed(&self.open()));
        }
        self.wait(id, |world| Ok(absorbed(world))).map(Some)
    }

    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError> {
        self.open().exactly(id, run).map(describe)
    }

    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError> {
        self.open().exactly(id, run).map(|record| record.history.to_vec())
    }

    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        if wait.is_zero() {
            return self.open().outcome(id, run);
        }
        self.wait(id, |world| world.outcome(id, run)).map(Some)
    }

    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        wait: Duration,
    ) -> Result<Option<Payload>, RunError> {
        if wait.is_zero() {
            return self.open().answer(id, run, update);
        }
        self.wait(id, |world| world.answer(id, run, update)).map(Some)
    }

    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError> {
        let world = self.open();
        let Record { run, history, blocked } = world.last(id, run)?;
        if let Some(mark) = blocked {
            return Err(RunError::Blocked(mark.reason.clone()));
        }
        if let Some(at) = run.begins_at() {
            let text = format!("`{id}` begins at {at}: before that there is nobody to answer");
            return Err(RunError::Rejected(text));
        }
        let _inside = Inside::enter();
        let answer = world.code.app().workflow_code().instantiate(&run.info).and_then(|code| {
            let mut replay = Replay::new(code);
            replay.follow(history)?;
            Ok(replay.query(name, input))
        });
        match answer.map_err(RunError::Blocked)? {
            Some(answer) => answer.map_err(RunError::Rejected),
            None => {
                let text = format!("name: workflow `{}` answers no query `{name}`", run.info.workflow);
                Err(RunError::Rejected(text))
            }
        }
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        let world = self.open();
        let mut all: Vec<Listed> =
            world.workflows.values().flat_map(|entry| entry.runs()).map(listed).collect();
        let passing = ListFilter::from(filter.clone());
        all.retain(|run| passing.passes(run));
        all.sort_by_key(|run| std::cmp::Reverse(run.entry.started_at));
        all.truncate(filter.limit);
        Ok(all)
    }
}

fn not_found(id: &WorkflowId, run: Option<RunId>) -> RunError {
    RunError::NotFound(match run {
        None => format!("there is no workflow `{id}`"),
        Some(run) => format!("there is no workflow `{id}` with a run `{run}`"),
    })
}
