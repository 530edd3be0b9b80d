//! What workflow code answers: updates by events in its log, queries by a replay that records nothing.

use millrace_core::{Blocked, Event, EventKind, Payload, Replay, RequestId, RunId, WorkflowCode, WorkflowId};
use millrace_format::{Head, Line};

use super::results::{follower_of, stands};
use super::{Client, ClientError, Outcome};
use crate::LoadError;

impl Client {
    /// Waits for the answer to an update that was sent. One that is refused is [`ClientError::Rejected`]; while the run
    /// is blocked there is none, and that is said. A run that is only suspect, after crashes, is tried again in a second.
    pub async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
    ) -> Result<Payload, ClientError> {
        let mut seen = Seen::default();
        loop {
            let changed = self.changed(id);
            if let Some(head) = self.last_head(id, run).await?
                && let Some(answer) = self.answer_in(&head, update, &mut seen).await?
            {
                return answer;
            }
            changed.await;
        }
    }

    async fn answer_in(
        &self,
        head: &Head,
        update: &RequestId,
        seen: &mut Seen,
    ) -> Result<Option<Result<Payload, ClientError>>, ClientError> {
        let sealed_too = !seen.covers(head);
        if let Some(answer) = self.find_answer(head, update, sealed_too).await? {
            return Ok(Some(answer));
        }
        if sealed_too && let Some(answer) = self.earlier_answer(head, update).await? {
            return Ok(Some(answer));
        }
        seen.have(head);
        Ok(match stands(head, head.last.as_ref().map(Line::outline)) {
            None => None,
            Some(Outcome::Blocked(mark)) if matches!(mark.reason, Blocked::Suspect { .. }) => None,
            Some(Outcome::Blocked(mark)) => Some(Err(ClientError::Blocked(mark.reason))),
            Some(_) => Some(Err(ClientError::Rejected("the workflow ended before it answered".into()))),
        })
    }

    /// The answer that a run's history holds.
    async fn find_answer(
        &self,
        head: &Head,
        update: &RequestId,
        sealed_too: bool,
    ) -> Result<Option<Result<Payload, ClientError>>, ClientError> {
        let lines = match sealed_too && !head.header.parts.is_empty() {
            true => self.reader.lines(head).await?,
            false => head.lines().map_err(LoadError::from)?,
        };
        if let Some(line) = lines.iter().rev().find(|line| answer_of(line.outline(), update).is_some()) {
            let event = self.reader.whole(&head.header, vec![line.clone()]).await?;
            return Ok(event.first().and_then(|event| answer_of(event, update)));
        }
        let refused = head.header.rejected.iter().find(|rejected| rejected.request_id == *update);
        Ok(refused.map(|refused| Err(ClientError::Rejected(refused.reason.clone()))))
    }

    /// The answer of a run before this one: it may have answered just before it continued as new.
    async fn earlier_answer(
        &self,
        last: &Head,
        update: &RequestId,
    ) -> Result<Option<Result<Payload, ClientError>>, ClientError> {
        let (id, last) = (&last.header.workflow_id, &last.header);
        let absorbed = last.carried.iter().find(|carried| carried.request_id == *update);
        let mut next = absorbed.map(|carried| carried.run_id);
        while let Some(run) = next.filter(|run| *run != last.run_id) {
            let Some(head) = self.reader.head_of(id, run).await? else { break };
            if let Some(answer) = self.find_answer(&head, update, true).await? {
                return Ok(Some(answer));
            }
            next = follower_of(&head);
        }
        Ok(None)
    }

    /// Asks the code at hand something that changes nothing: the history is gone over again here, and no worker is
    /// needed. A closed run answers as it was when it closed.
    pub async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        (name, input): (&str, &Payload),
        code: &dyn WorkflowCode,
    ) -> Result<Payload, ClientError> {
        let refused = |reason: String| Err(ClientError::Rejected(reason));
        let Some(head) = self.last_head(id, run).await? else {
            return refused(format!("`{id}` is just going on as a new run: ask again"));
        };
        let events = self.reader.events(&head).await?;
        let run = head.header.restore(&events);
        if let Some(at) = run.begins_at() {
            return refused(format!("`{id}` begins at {at}: before that there is nobody to answer"));
        }
        let workflow = &run.info.workflow;
        let brought_up = code.instantiate(&run.info).and_then(|code| {
            let mut replay = Replay::new(code);
            replay.follow(&events).map(|()| replay)
        });
        match brought_up.map_err(ClientError::Blocked)?.query(name, input) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(reason)) => refused(reason),
            None => refused(format!("name: workflow `{workflow}` answers no query `{name}`")),
        }
    }
}

/// What an earlier look has gone over: sealed events, and the runs before, are read once.
#[derive(Default)]
struct Seen(Option<(RunId, u64)>);

impl Seen {
    fn covers(&self, head: &Head) -> bool {
        self.0.is_some_and(|(run, last)| {
            run == head.header.run_id && last.saturating_add(1) >= head.header.first
        })
    }

    fn have(&mut self, head: &Head) {
        self.0 = Some((head.header.run_id, head.header.last));
    }
}

fn answer_of(event: &Event, update: &RequestId) -> Option<Result<Payload, ClientError>> {
    match &event.kind {
        EventKind::UpdateCompleted(e) if e.request_id == *update => Some(Ok(e.result.clone())),
        EventKind::UpdateRejected(e) if e.request_id == *update => {
            Some(Err(ClientError::Rejected(e.reason.clone())))
        }
        _ => None,
    }
}
