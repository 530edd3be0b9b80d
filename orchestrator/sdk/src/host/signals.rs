//! Signals of a run: buffered from its start, given to handlers or to whoever receives; and the state it shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use millrace_core::{Blocked, Payload};
use serde::Serialize;

use super::journal::{Journal, WaitFor};

/// What a state cell does with a signal.
pub(crate) type Apply = Arc<dyn Fn(&Payload) -> Result<(), Blocked> + Send + Sync>;
/// How the published state is read.
pub(crate) type Show = Arc<dyn Fn() -> Result<Payload, serde_json::Error> + Send + Sync>;

/// Signals that nobody has read, and handlers for those that somebody always will.
#[derive(Default)]
pub(super) struct Inbox {
    unread: BTreeMap<String, VecDeque<Payload>>,
    handlers: BTreeMap<&'static str, Handler>,
}

#[derive(Clone)]
struct Handler {
    cell: u64,
    apply: Apply,
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
    pub(super) fn signal(&self, name: &str, input: &Payload) -> Result<(), Blocked> {
        let mut inner = self.lock();
        if let Some(handler) = inner.inbox.handlers.get(name).cloned() {
            drop(inner);
            return self.handle(&handler, input);
        }
        inner.inbox.unread.entry(name.to_owned()).or_default().push_back(input.clone());
        let known = self.accepts.iter().find(|accepted| **accepted == name);
        drop(inner);
        match known {
            Some(name) => self.wake(WaitFor::Signal(name)),
            None => {
                let (workflow, accepts) = (&self.info.workflow, self.accepts.join(", "));
                tracing::warn!(%workflow, signal = name, accepts, "a signal that nobody will read");
            }
        }
        Ok(())
    }

    /// The oldest unread signal of this name.
    pub(crate) fn take_signal(&self, name: &str) -> Option<Payload> {
        self.lock().inbox.unread.get_mut(name)?.pop_front()
    }

    /// From now on this handler takes the signals of this name, beginning with those that have arrived.
    pub(crate) fn handle_signals(&self, name: &'static str, cell: u64, apply: Apply) {
        let handler = Handler { cell, apply };
        let mut inner = self.lock();
        let replaced = inner.inbox.handlers.insert(name, handler.clone());
        let arrived = inner.inbox.unread.remove(name).unwrap_or_default();
        drop(inner);
        drop(replaced);
        if let Err(reason) = arrived.iter().try_for_each(|input| self.handle(&handler, input)) {
            self.block(reason);
        }
    }

    fn handle(&self, handler: &Handler, input: &Payload) -> Result<(), Blocked> {
        (handler.apply)(input)?;
        self.changed(handler.cell);
        Ok(())
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

    /// What the run shows now.
    pub(super) fn published(&self) -> Option<Payload> {
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
