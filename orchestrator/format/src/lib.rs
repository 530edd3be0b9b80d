//! What Millrace writes down: history objects, messages, leases, and the keys they lie under. Versioned; a format that
//! was once released stays readable, and recorded histories of every version lie in the tests.
//!
//! - [`Keys`]: every key in the bucket, with lifetime, writer and write condition.
//! - [`history`]: the history object: one header line, then one line an event.
//! - [`Recording`]: a run's history in a file, to be replayed.
//! - [`message`]: the public and internal messages, and the checks at the door.
//! - [`Attributes`]: what runs are found by.
//! - [`Lease`], [`TimerEntry`], [`IndexEntry`], [`Swept`]: the small objects beside the history.

mod attributes;
pub mod history;
mod index;
mod keys;
mod lease;
pub mod message;
mod recording;
mod sweep;
mod timer;

pub use attributes::{AttributeCondition, AttributeValue, Attributes};
pub use history::{
    ContentHash, Corrupt, Head, Header, Line, PendingActivity, PendingChild, Reference, SealedPart,
};
pub use index::IndexEntry;
pub use keys::Keys;
pub use lease::Lease;
pub use recording::{BadRecording, Recording};
pub use sweep::Swept;
pub use timer::TimerEntry;
