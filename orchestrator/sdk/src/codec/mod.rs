//! Codecs: what users write, encrypted or compressed before it leaves their process.
//!
//! ```
//! use millrace::codec::{AesGcm, Key, Zstd};
//! use millrace::prelude::*;
//!
//! # #[workflow] async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> { Ok(name) }
//! # fn main() -> Result<(), millrace::codec::CodecError> {
//! # let (new, old) = ([1; 32], [2; 32]);
//! let keys = AesGcm::new(Key::new("2026-11", new)?).also_decodes(Key::new("2026-05", old)?);
//! let app = App::new().workflow(welcome).codec(Zstd::new()).codec(keys); // compressed, then encrypted
//! # Ok(())
//! # }
//! ```
//!
//! What goes through them: inputs and results of workflows, children, activities and local activities; signals; updates and
//! queries, with their answers; the input of a run that continues as new; what is published; heartbeat details; details of
//! failures; memos; the items and results of a `map`; the inputs that schedules start with; what completes an activity by its
//! token. So histories, messages, leases and the bucket hold only the encoded form, and nobody without the key reads them:
//! not the engine's operators, not the plain `millrace` program.
//!
//! What does not, because the engine or people without the key need it: ids, names and types; headers; attributes; options and
//! times; a schedule's own settings and notes; reasons of cancels, terminations and refusals (`reject`); and **types, messages
//! and causes of failures**, which say why a run stands still. What must not be read there belongs into the failure's
//! `details`. Where a codec is set, our own messages about values that do not fit name no value.
//!
//! What holds:
//! - Encoding is all of the boundary's: workflow code sees plain values, and commands are compared by kind, name and number,
//!   so a nonce that differs in each replay is no nondeterminism.
//! - What carries no mark is taken as it is: a plain `start` that any service drops on the inbox works, and so do runs from
//!   before the codec was set. Everything that this process writes from then on is encoded.
//! - A payload is bound to nothing but its key: it may move into another run, a child, a fork.
//! - What cannot be decoded (a key that is missing, a codec that is not set) is never taken for something else. Workflow code
//!   is blocked until a build that has the key comes along; an activity's attempt fails, to be tried again; a client is told.
//!
//! Every process of an app needs the same codecs: those that make turns, workers, and clients. A rotation of keys: first give
//! everyone the new key for decoding, then encode with it, and keep the old one as long as there are runs that used it.
//!
//! **Custom serialization** needs nothing else: serde's attributes say how a type becomes JSON, and a codec of your own is
//! given that JSON and may make any other of it.

mod aes_gcm;
mod chain;
mod content;
mod zstd;

use std::fmt;

use millrace_core::Payload;

pub use self::zstd::Zstd;
pub use aes_gcm::{AesGcm, Key};
pub(crate) use chain::{Codecs, Unread, Unwritten};
pub use content::{Content, MARK};

/// Turns payloads into another form, and back. Several of them form a chain: what the first makes is given to the next.
///
/// ```
/// use millrace::codec::{Codec, CodecError, Content};
/// use millrace::client::Payload;
///
/// /// Keeps colleagues from reading by accident; not a secret from anybody.
/// struct Flipped;
///
/// impl Codec for Flipped {
///     fn name(&self) -> &str {
///         "flipped/1"
///     }
///
///     fn encode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
///         let content = Content::of(payload)?;
///         let flipped = content.bytes().iter().map(|byte| !byte).collect();
///         content.then("flipped/1", flipped).into_payload().map(Some)
///     }
///
///     fn decode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
///         let content = Content::of(payload)?;
///         if content.last() != Some("flipped/1") {
///             return Ok(None);
///         }
///         let plain = content.bytes().iter().map(|byte| !byte).collect();
///         content.before(plain).into_payload().map(Some)
///     }
/// }
///
/// let plain = Payload::of(&"hello").unwrap();
/// let encoded = Flipped.encode(&plain).unwrap().unwrap();
/// assert_eq!(encoded.as_str(), r#"{"$millrace":"flipped/1","data":"3Zeak5OQ3Q=="}"#);
/// assert_eq!(Flipped.decode(&encoded).unwrap(), Some(plain));
/// ```
pub trait Codec: Send + Sync + 'static {
    /// Its name and version, for messages: `aes-gcm/1`.
    fn name(&self) -> &str;

    /// The payload as it goes out; `None` leaves it as it is. It need not be the same each time.
    fn encode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError>;

    /// What `encode` was given; `None` if this codec has not made it. It must be the same each time.
    fn decode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError>;
}

/// A payload that cannot be encoded or decoded: which codec or key, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    /// An error with a text for people. It is recorded in histories: it names no secret.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}
