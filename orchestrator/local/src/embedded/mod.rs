//! The object store and the queues in one folder: the embedded mode.
//!
//! What holds:
//! - Every change takes a place in one order and is in force at once, in memory. A writer thread takes what has
//!   gathered, writes it as one transaction and flushes it to the disk. **A crash keeps a prefix of that order.**
//! - Messages on task queues are received only when everything up to their send is durable (G1). [`settle`]
//!   waits for the same, and so does the receive of a message that was there when the folder was opened: code that
//!   kills its process at once is found out by the receive count (G9). Nothing else waits for the disk, except that
//!   writers are slowed down when it falls behind.
//! - Whatever nobody waits for is written a few milliseconds later, with what comes meanwhile.
//! - A message stays until it is deleted, however long the folder lies closed.
//! - When the disk is full, nothing is lost: new objects and messages are refused with the reason until there is room
//!   again, tasks, `settle` and receives of messages from before the opening wait or fail, everything else goes on.
//! - Memory is bounded: by what is not yet written, by the small part of each waiting message that is kept (its body
//!   only while there are few), and by the storage's caches.
//!
//! [`settle`]: millrace_engine::ports::Queues::settle
//!
//! It does not talk to other processes: one process owns the folder.

mod batch;
mod error;
mod journal;
mod lock;
mod objects;
mod private;
mod queues;
mod versions;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use millrace_engine::ports::{Clock, QueueName};
use tokio::sync::Notify;

use crate::arrivals::Arrivals;
use crate::state::{QueueConfig, State};
use batch::Batch;
use journal::{Journal, Reader};
use lock::FolderLock;
use versions::Versions;

pub use error::OpenError;

/// Writers are slowed down when this much waits to be written.
const MOST_PENDING_BYTES: usize = 4 << 20;
/// Message bodies are kept in memory up to this much; beyond, they are read when they are received.
const MOST_BODY_BYTES: usize = 6 << 20;
/// Each opening numbers its changes in a range of its own, so a number lost in a crash is never given again.
const CHANGES_PER_OPENING: u64 = 1 << 40;

/// Objects and queues in one folder.
pub struct Embedded {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    /// Released last, after the writer has ended.
    _lock: FolderLock,
}

/// What callers and the writer thread share.
struct Shared {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    reader: Reader,
    /// Messages up to this one were there when the folder was opened.
    restored_seq: u64,
    inner: Mutex<Inner>,
    /// The writer thread waits here.
    work: Condvar,
    /// Told when a batch has become durable, or the disk has failed.
    progress: Notify,
    arrivals: Arrivals,
}

struct Inner {
    queues: State,
    pending: Batch,
    /// The batch that the writer has in hand.
    writing: Option<Arc<Batch>>,
    versions: Versions,
    durable_seq: u64,
    /// Somebody waits for what is pending.
    urgent: bool,
    /// The writer sleeps until there is something to write.
    resting: bool,
    /// Why the last write failed, while it has not worked again.
    failure: Option<String>,
    closing: bool,
}

impl Embedded {
    /// Whether a process has this folder open now, this one included. Creates nothing.
    pub fn is_in_use(dir: impl AsRef<Path>) -> bool {
        lock::is_taken(dir.as_ref())
    }

    /// Opens the folder, or creates it. Messages that were in flight are visible again, with their receive counts.
    ///
    /// # Errors
    /// Another process has the folder; it cannot be written; what lies there is damaged or too new.
    pub fn open(dir: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let dir = dir.as_ref().to_owned();
        let lock = FolderLock::take(&dir)?;
        let (journal, reader, opening) = Journal::open(&dir)?;
        let mut queues = State::new(opening * CHANGES_PER_OPENING, true);
        let now = clock.now();
        let restored = reader
            .messages(MOST_BODY_BYTES / 2, |queue, seq, message| queues.restore(&queue, seq, message, now));
        restored.map_err(|error| OpenError::Corrupt { dir: dir.clone(), reason: error.to_string() })?;
        let shared = Arc::new(Shared::new(dir.clone(), clock, reader, queues));
        let writer = writer::start(shared.clone(), journal);
        let writer = writer.map_err(|error| OpenError::Storage { dir, reason: error.to_string() })?;
        Ok(Arc::new(Self { shared, writer: Some(writer), _lock: lock }))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Sets how often a message of this queue may be received before it goes to the dead-letter queue.
    pub fn configure(&self, queue: &QueueName, config: QueueConfig) {
        self.shared.lock().queues.configure(queue, config);
    }

    /// How many messages a queue holds: ready, delayed and in flight.
    pub fn messages_in(&self, queue: &QueueName) -> usize {
        self.shared.lock().queues.len(queue)
    }

    /// Why nothing can be written at the moment, if that is so.
    pub fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }
}

impl Drop for Embedded {
    /// Writes what is left, then lets go of the folder.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(folder = %self.shared.dir.display(), "the writer thread has panicked");
        }
    }
}

impl Shared {
    fn new(dir: PathBuf, clock: Arc<dyn Clock>, reader: Reader, queues: State) -> Self {
        let restored_seq = queues.last_seq();
        let inner = Inner {
            durable_seq: restored_seq,
            queues,
            pending: Batch::default(),
            writing: None,
            versions: Versions::default(),
            urgent: false,
            resting: false,
            failure: None,
            closing: false,
        };
        let (work, progress, arrivals) = (Condvar::new(), Notify::new(), Arrivals::default());
        Self { dir, clock, reader, restored_seq, inner: Mutex::new(inner), work, progress, arrivals }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the writer if that gave it something to do.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let (was_empty, was_urgent) = (inner.pending.is_empty(), inner.urgent);
        let result = change(&mut inner);
        let seq = inner.queues.last_seq();
        inner.pending.last_seq = seq;
        let wake = (inner.resting && !inner.pending.is_empty())
            || (!was_urgent && inner.urgent)
            || inner.pending.size_bytes > MOST_PENDING_BYTES;
        // A message that came and went is not written: who waits for that has nothing more to wait for.
        let canceled_out = !was_empty && inner.pending.is_empty();
        drop(inner);
        if wake {
            self.work.notify_one();
        }
        if canceled_out {
            self.progress.notify_waiters();
        }
        result
    }

    /// Waits while too much waits to be written; says why nothing can be written, if that is so.
    async fn room(&self) -> Result<(), String> {
        loop {
            let progress = self.progress.notified();
            {
                let inner = self.lock();
                if let Some(failure) = &inner.failure {
                    return Err(failure.clone());
                }
                if inner.pending.size_bytes <= MOST_PENDING_BYTES {
                    return Ok(());
                }
            }
            progress.await;
        }
    }

    /// Waits until everything that is in force now is durable.
    async fn settle(&self) -> Result<(), String> {
        let target = self.change(|inner| {
            inner.urgent |= !inner.pending.is_empty();
            inner.queues.last_seq()
        });
        loop {
            // A `notified` future counts the notifications from its creation on, polled or not.
            let progress = self.progress.notified();
            {
                let inner = self.lock();
                if inner.durable_seq >= target || (inner.pending.is_empty() && inner.writing.is_none()) {
                    return Ok(());
                }
                if let Some(failure) = &inner.failure {
                    return Err(failure.clone());
                }
            }
            progress.await;
        }
    }
}
