//! What a run is told and asked: signals and updates, buffered from its start and given to handlers or to whoever
//! receives; queries; and the state it shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use millrace_core::{
    Blocked, Command, Payload, RequestId, SignalReceived, Unread, UnreadMessage, UpdateReceived,
};
use serde::Serialize;

use super::journal::{Journal, WaitFor};

/// What a state cell does with a signal.
pub(crate) type Apply = Arc<dyn Fn(&Payload) -> Result<(), Blocked> + Send + Sync>;
/// What a state cell answers to an update.
pub(crate) type Change = Arc<dyn Fn(&Payload) -> Result<Payload, Unanswered> + Send + Sync>;
/// What a state cell answers to a query.
pub(crate) type Answer = Arc<dyn Fn(&Payload) -> Result<Payload, String> + Send + Sync>;
/// How the published state is read.
pub(crate) type Show = Arc<dyn Fn() -> Result<Payload, serde_json::Error> + Send + Sync>;

/// An update without an answer.
pub(crate) enum Unanswered {
    /// It is refused, and why.
    Refused(String),
    /// Only another build can say.
    Blocked(Blocked),
}

/// What nobody has read yet, and handlers for what somebody always will.
#[derive(Default)]
pub(super) struct Inbox {
    signals: Queue,
    updates: Queue,
    on_signal: BTreeMap<&'static str, Handler<Apply>>,
    on_update: BTreeMap<&'static str, Handler<Change>>,
    on_query: BTreeMap<&'static str, Answer>,
}

/// Unread messages by name, and in the order of arrival.
#[derive(Default)]
struct Queue {
    unread: BTreeMap<String, VecDeque<(u64, UnreadMessage)>>,
    arrived: u64,
}

impl Queue {
    fn push(&mut self, message: UnreadMessage) {
        self.arrived += 1;
        self.unread.entry(message.name.clone()).or_default().push_back((self.arrived, message));
    }

    fn pop(&mut self, name: &str) -> Option<UnreadMessage> {
        self.unread.get_mut(name)?.pop_front().map(|(_, message)| message)
    }

    fn take(&mut self, name: &str) -> Vec<UnreadMessage> {
        let taken = self.unread.remove(name).unwrap_or_default();
        taken.into_iter().map(|(_, message)| message).collect()
    }

    fn take_all(&mut self) -> Vec<UnreadMessage> {
        let mut all: Vec<_> = std::mem::take(&mut self.unread).into_values().flatten().collect();
        all.sort_by_key(|(arrived, _)| *arrived);
        all.into_iter().map(|(_, message)| message).collect()
    }
}

impl Inbox {
    /// What the run before has left.
    pub(super) fn begin_with(&mut self, unread: &Unread) {
        unread.signals.iter().for_each(|signal| self.signals.push(signal.clone()));
        unread.updates.iter().for_each(|update| self.updates.push(update.clone()));
    }
}

#[derive(Clone)]
struct Handler<F> {
    cell: u64,
    handle: F,
}

/// The state that the run shows.
#[derive(Default)]
pub(super) enum Publisher {
    #[default]
    Nothing,
    /// A value as it was.
    Value(Payload),
    /// A state cell, as it is; read again only after it changed.
    Cell { id: u64, show: Show, read: Option<Payload> },
}

impl Journal {
    /// A signal arrived: its handler takes it, or it is kept for who receives it.
    pub(super) fn signal(&self, signal: &SignalReceived) -> Result<(), Blocked> {
        let SignalReceived { name, input, request_id } = signal;
        let mut inner = self.lock();
        if let Some(handler) = inner.inbox.on_signal.get(name.as_str()).cloned() {
            drop(inner);
            return self.handle(&handler, input);
        }
        let (name, input, request_id) = (name.clone(), input.clone(), request_id.clone());
        inner.inbox.signals.push(UnreadMessage { name: name.clone(), input, request_id });
        drop(inner);
        match self.accepted(&name) {
            Some(name) => self.wake(WaitFor::Signal(name)),
            None => {
                let (workflow, accepts) = (&self.info.workflow, self.accepts.join(", "));
                tracing::warn!(%workflow, signal = name, accepts, "a signal that nobody will read");
            }
        }
        Ok(())
    }

    /// An update arrived: its handler answers, or it is kept for who receives it. Nobody waits in vain for the answer to
    /// one that the workflow does not know.
    pub(super) fn update(&self, update: &UpdateReceived) -> Result<(), Blocked> {
        let UpdateReceived { name, input, request_id } = update;
        let mut inner = self.lock();
        if let Some(handler) = inner.inbox.on_update.get(name.as_str()).cloned() {
            drop(inner);
            self.change(&handler, request_id, input);
            return Ok(());
        }
        let Some(accepted) = self.accepted(name) else {
            drop(inner);
            let accepts = self.accepts.join(", ");
            let reason =
                format!("workflow `{}` takes no update `{name}` (it takes: {accepts})", self.info.workflow);
            self.reply(request_id, Err(reason));
            return Ok(());
        };
        let (name, input, request_id) = (name.clone(), input.clone(), request_id.clone());
        inner.inbox.updates.push(UnreadMessage { name, input, request_id });
        drop(inner);
        self.wake(WaitFor::Update(accepted));
        Ok(())
    }

    fn accepted(&self, name: &str) -> Option<&'static str> {
        self.accepts.iter().copied().find(|accepted| *accepted == name)
    }

    /// The oldest unread signal of this name.
    pub(crate) fn take_signal(&self, name: &str) -> Option<Payload> {
        self.lock().inbox.signals.pop(name).map(|signal| signal.input)
    }

    /// The oldest unread update of this name.
    pub(crate) fn take_update(&self, name: &str) -> Option<(RequestId, Payload)> {
        self.lock().inbox.updates.pop(name).map(|update| (update.request_id, update.input))
    }

    /// Everything that nobody has read: the run that follows begins with it.
    pub(crate) fn take_unread(&self) -> Unread {
        let mut inner = self.lock();
        let (signals, updates) = (inner.inbox.signals.take_all(), inner.inbox.updates.take_all());
        Unread { signals, updates, cancel: None }
    }

    /// From now on this handler takes the signals of this name, beginning with those that have arrived.
    pub(crate) fn on_signal(&self, name: &'static str, cell: u64, handle: Apply) {
        let handler = Handler { cell, handle };
        let mut inner = self.lock();
        let replaced = inner.inbox.on_signal.insert(name, handler.clone());
        let arrived = inner.inbox.signals.take(name);
        drop(inner);
        drop(replaced);
        if let Err(reason) = arrived.iter().try_for_each(|signal| self.handle(&handler, &signal.input)) {
            self.block(reason);
        }
    }

    /// From now on this handler answers the updates of this name, beginning with those that have arrived.
    pub(crate) fn on_update(&self, name: &'static str, cell: u64, handle: Change) {
        let handler = Handler { cell, handle };
        let mut inner = self.lock();
        let replaced = inner.inbox.on_update.insert(name, handler.clone());
        let arrived = inner.inbox.updates.take(name);
        drop(inner);
        drop(replaced);
        for update in arrived {
            self.change(&handler, &update.request_id, &update.input);
        }
    }

    /// From now on this answers the queries of this name.
    pub(crate) fn on_query(&self, name: &'static str, answer: Answer) {
        let replaced = self.lock().inbox.on_query.insert(name, answer);
        drop(replaced);
    }

    /// The answer to a query, if the code knows it.
    pub(super) fn query(&self, name: &str, input: &Payload) -> Option<Result<Payload, String>> {
        let answer = self.lock().inbox.on_query.get(name).cloned()?;
        Some(answer(input))
    }

    fn handle(&self, handler: &Handler<Apply>, input: &Payload) -> Result<(), Blocked> {
        (handler.handle)(input)?;
        self.changed(handler.cell);
        Ok(())
    }

    fn change(&self, handler: &Handler<Change>, request_id: &RequestId, input: &Payload) {
        match (handler.handle)(input) {
            Ok(answer) => {
                self.changed(handler.cell);
                self.reply(request_id, Ok(answer));
            }
            Err(Unanswered::Refused(reason)) => self.reply(request_id, Err(reason)),
            Err(Unanswered::Blocked(reason)) => self.block(reason),
        }
    }

    /// Answers an update.
    pub(crate) fn reply(&self, request_id: &RequestId, answer: Result<Payload, String>) {
        let request_id = request_id.clone();
        self.say_next(match answer {
            Ok(result) => Command::CompleteUpdate(request_id, result),
            Err(reason) => Command::RejectUpdate(request_id, reason),
        });
    }

    /// A state cell changed.
    pub(crate) fn changed(&self, cell: u64) {
        let mut inner = self.lock();
        let stale = match &mut inner.publisher {
            Publisher::Cell { id, read, .. } if *id == cell => read.take(),
            _ => None,
        };
        drop(inner);
        drop(stale);
        self.wake(WaitFor::Cell(cell));
    }

    /// Shows a value until another is shown.
    pub(crate) fn publish<T: Serialize + ?Sized>(&self, value: &T) {
        match Payload::of(value) {
            Ok(value) => self.show(Publisher::Value(value)),
            Err(error) => {
                let message =
                    format!("the published `{}` has no JSON form: {error}", std::any::type_name::<T>());
                self.block(Blocked::BadInput { message });
            }
        }
    }

    /// Shows a state cell.
    pub(crate) fn publish_cell(&self, id: u64, show: Show) {
        self.show(Publisher::Cell { id, show, read: None });
    }

    fn show(&self, publisher: Publisher) {
        let old = std::mem::replace(&mut self.lock().publisher, publisher);
        drop(old);
    }

    /// What the run shows now; `known` itself, or what was said the last time, if that says the same.
    pub(super) fn published(&self, known: Option<&Payload>) -> Option<Payload> {
        let plain = self.shown()?;
        let said = self.lock().said.clone();
        if let Some((_, encoded)) = said.filter(|(before, _)| *before == plain) {
            return Some(encoded);
        }
        let is_known = |known: &&Payload| self.codecs.decode(known).is_ok_and(|known| known == plain);
        let encoded = match known.filter(is_known) {
            Some(known) => known.clone(),
            None => self
                .codecs
                .encode(plain.clone())
                .inspect_err(|error| tracing::error!(%error, "the published state cannot be encoded"))
                .ok()?,
        };
        self.lock().said = Some((plain, encoded.clone()));
        Some(encoded)
    }

    /// The same as JSON.
    fn shown(&self) -> Option<Payload> {
        let show = match &self.lock().publisher {
            Publisher::Nothing => return None,
            Publisher::Value(value) | Publisher::Cell { read: Some(value), .. } => {
                return Some(value.clone());
            }
            Publisher::Cell { show, .. } => show.clone(),
        };
        let shown =
            show().inspect_err(|error| tracing::error!(%error, "the published state has no JSON form")).ok();
        if let Publisher::Cell { read, .. } = &mut self.lock().publisher {
            read.clone_from(&shown);
        }
        shown
    }
}
