//! Live runs, kept between turns, so that a warm turn reads nothing (G12).

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use millrace_core::{WorkflowId, decide::Live};
use millrace_format::history::Tail;

use crate::ports::ETag;

/// A run whose code is up to date with its last commit. Only a successful commit makes one.
pub(crate) struct Cached {
    pub live: Live,
    pub tail: Tail,
    pub etag: ETag,
}

/// A place for one workflow's live run. Locked for the length of a turn: within a process, turns of one workflow
/// follow each other instead of fighting over the object.
pub(crate) type Slot = Arc<futures::lock::Mutex<Option<Cached>>>;

/// The slots of the workflows that had a turn lately.
pub(crate) struct RunCache {
    slots: Mutex<LruCache<WorkflowId, Slot>>,
}

impl RunCache {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self { slots: Mutex::new(LruCache::new(capacity)) }
    }

    pub(crate) fn slot(&self, id: &WorkflowId) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get_or_insert(id.clone(), Slot::default).clone()
    }

    /// Forgets a workflow that has nothing to keep.
    pub(crate) fn forget(&self, id: &WorkflowId) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).pop(id);
    }
}
