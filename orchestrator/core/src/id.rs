//! Names of things. Every name from outside is checked once, where it enters, and is a type of its own from then on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The longest name that is accepted, in bytes: with every byte percent-encoded it still fits an S3 key.
const LONGEST: usize = 200;

/// A name that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}; use 1 to {max} letters, digits or any of `{extra}`, and no `..`")]
pub struct InvalidId {
    /// Which name.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// How long it may be.
    pub max: usize,
    /// What it may contain beside letters and digits.
    pub extra: &'static str,
}

const ID_EXTRA: &str = "-_.:@+=~";
const QUEUE_EXTRA: &str = "-_";

fn check(what: &'static str, text: &str, max: usize, extra: &'static str) -> Result<(), InvalidId> {
    let invalid = |problem: String| Err(InvalidId { what, problem, max, extra });
    if text.is_empty() {
        return invalid("is empty".into());
    }
    if text.len() > max {
        return invalid(format!("is {} bytes long", text.len()));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !extra.contains(*c)) {
        return invalid(format!("contains {bad:?}"));
    }
    if text.contains("..") || text == "." {
        return invalid("contains `..` or is `.`".into());
    }
    if extra == QUEUE_EXTRA && text.ends_with("-dead") {
        return invalid("ends in `-dead`, which names dead-letter queues".into());
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                check($what, text.as_ref(), $max, $extra)?;
                Ok(Self(text.as_ref().into()))
            }

            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::new(text).map_err(D::Error::custom)
            }
        }
    };
}

name!(
    /// The user's name for a workflow: at most one run of it is open at a time.
    WorkflowId, "the workflow id", LONGEST, ID_EXTRA
);
name!(
    /// The name of workflow code.
    WorkflowType, "the workflow type", LONGEST, ID_EXTRA
);
name!(
    /// What makes a start, signal, cancel, terminate or resume idempotent: the same request id counts once.
    RequestId, "the request id", LONGEST, ID_EXTRA
);
name!(
    /// Separates workflows that share a bucket and queues.
    Namespace, "the namespace", 63, QUEUE_EXTRA
);
name!(
    /// A kind of resource that activities wait for: `cpu`, `gpu`, …
    TaskQueue, "the task queue", 40, QUEUE_EXTRA
);

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

/// One execution of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(uuid::Uuid);

impl RunId {
    /// A run id from 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }

    /// The id's 128 bits.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid =
            |_| InvalidId { what: "the run id", problem: "is not a UUID".into(), max: 36, extra: "-" };
        text.parse().map(Self).map_err(invalid)
    }
}

/// The number of an activity call within its run.
pub type ActivityId = u64;
/// The number of a timer within its run.
pub type TimerId = u64;
/// The number of a child call within its run.
pub type ChildId = u64;
/// The number, within its run, of a call that tells another workflow something.
pub type SentId = u64;

impl RequestId {
    /// Begins the ids of requests that runs make; nobody else may use one.
    const OWN: char = '~';

    /// The id of what a run asks of another workflow.
    pub fn own(what: &str, run_id: RunId, number: u64) -> Self {
        Self(format!("{}{what}:{run_id}:{number}", Self::OWN).into())
    }

    /// Whether a run made it, and not somebody outside.
    pub fn is_own(&self) -> bool {
        self.0.starts_with(Self::OWN)
    }
}

/// What makes two messages the same message (guarantee G2). Written short, because guards are stored in the header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A start, signal, cancel, terminate or resume.
    Request(RequestId),
    /// The task of an activity attempt, and its outcome.
    Activity(ActivityId, u32),
    /// A timer.
    Timer(TimerId),
    /// A wake.
    Wake(u64),
    /// The outcome of a child.
    Child(ChildId),
    /// Something of an earlier run of the same workflow.
    Earlier(RunId, Box<Identity>),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(id) => write!(f, "r:{id}"),
            Self::Activity(activity, attempt) => write!(f, "a:{activity}:{attempt}"),
            Self::Timer(timer) => write!(f, "t:{timer}"),
            Self::Wake(wake) => write!(f, "w:{wake}"),
            Self::Child(child) => write!(f, "c:{child}"),
            Self::Earlier(run_id, identity) => write!(f, "e:{run_id}:{identity}"),
        }
    }
}

impl FromStr for Identity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("`{text:.100}` is not an identity");
        let number = |n: &str| n.parse::<u64>().map_err(|_| unknown());
        match text.split_once(':').ok_or_else(unknown)? {
            ("r", id) => RequestId::new(id).map(Self::Request).map_err(|e| e.to_string()),
            ("t", n) => number(n).map(Self::Timer),
            ("w", n) => number(n).map(Self::Wake),
            ("c", n) => number(n).map(Self::Child),
            ("e", rest) => {
                let (run_id, identity) = rest.split_once(':').ok_or_else(unknown)?;
                let run_id = run_id.parse().map_err(|_| unknown())?;
                // There is no earlier of an earlier; a text that says so at length would use up the stack.
                if identity.starts_with("e:") {
                    return Err(unknown());
                }
                Ok(Self::Earlier(run_id, Box::new(identity.parse()?)))
            }
            ("a", rest) => {
                let (activity, attempt) = rest.split_once(':').ok_or_else(unknown)?;
                Ok(Self::Activity(number(activity)?, attempt.parse().map_err(|_| unknown())?))
            }
            _ => Err(unknown()),
        }
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_harm_are_refused_with_the_reason() {
        let long = "x".repeat(10_240);
        for (text, problem) in [
            ("", "is empty"),
            (long.as_str(), "is 10240 bytes long"),
            ("a/b", "contains '/'"),
            ("..", "contains `..`"),
            ("a..b", "contains `..`"),
            ("a\0b", "contains '\\0'"),
            ("a b", "contains ' '"),
            ("🦀", "contains '🦀'"),
            ("a\nb", "contains '\\n'"),
            ("(x)", "contains '('"),
        ] {
            let error = WorkflowId::new(text).unwrap_err().to_string();
            assert!(error.starts_with("the workflow id ") && error.contains(problem), "{text:.20}: {error}");
        }
    }

    #[test]
    fn ordinary_names_pass() {
        for text in ["digits-42", "order:2026-11-23", "ann@example.com", "a.b_c+d=e~f", "9"] {
            assert_eq!(WorkflowId::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn identities_round_trip() {
        for text in ["r:req:1", "a:7:2", "t:3", "w:1", "c:4", "e:01234567-89ab-4def-8123-456789abcdef:a:7:2"]
        {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        for text in ["", "a:7", "x:1", "t:x", "r:"] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
        let nested = "e:01234567-89ab-4def-8123-456789abcdef:".repeat(100_000) + "t:1";
        assert!(nested.parse::<Identity>().is_err(), "it would use up the stack");
    }
}
