//! One line of a history, and the payloads that are too large for it.
//!
//! A large payload is an object of its own, under its run, named by the hash of its text. In its place the line has a
//! [`Reference`], and at its end `"stored":["input"]`, which says where. User data is always inside a payload, so it can
//! look like a reference, but it can never say that it is one. In memory an [`Event`] is always whole; a [`Line`] may not
//! be, and gives nobody an event by mistake.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use millrace_core::{Event, EventKind, Payload, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a payload's text: in lower-case hexadecimal where it is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let whole = pairs.len() == hash.len() && rest.is_empty();
        let read = pairs.iter().zip(&mut hash).try_for_each(|([high, low], byte)| {
            *byte = digit(*high)? << 4 | digit(*low)?;
            Some(())
        });
        read.filter(|()| whole).ok_or_else(|| format!("`{text}` is no SHA-256: 64 of 0-9 a-f"))?;
        Ok(Self(hash))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a line has in the place of a payload that is an object of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The hash of its text, and its name.
    pub sha256: ContentHash,
    /// How long its text is.
    pub bytes: u64,
}

impl Reference {
    /// What stands for this payload.
    pub fn to(payload: &Payload) -> Self {
        let text = payload.as_str().as_bytes();
        Self { sha256: ContentHash::of(text), bytes: text.len() as u64 }
    }

    /// The payload, if this object is what was stored.
    pub fn verify(&self, object: &[u8]) -> Result<Payload, String> {
        if object.len() as u64 != self.bytes {
            return Err(format!("it has {} bytes instead of {}", object.len(), self.bytes));
        }
        if ContentHash::of(object) != self.sha256 {
            return Err("its content is not what its name says".into());
        }
        let text = std::str::from_utf8(object).map_err(|e| format!("it is not UTF-8: {e}"))?;
        Payload::parse(text).map_err(|e| format!("it is not JSON: {e}"))
    }
}

/// A payload of a line that is an object of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where in the event it belongs: `result`, `failure.fault.application.details`.
    pub place: String,
    /// What it is.
    pub reference: Reference,
}

/// One line of a history as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    event: Event,
    stored: Vec<Stored>,
}

impl From<Event> for Line {
    fn from(event: Event) -> Self {
        Self { event, stored: Vec::new() }
    }
}

impl Line {
    /// The event but for its large payloads, which are references here: for whoever does not look at payloads.
    pub fn outline(&self) -> &Event {
        &self.event
    }

    /// The payloads that are elsewhere.
    pub fn stored(&self) -> &[Stored] {
        &self.stored
    }

    /// The event, if nothing of it is elsewhere; else what is.
    pub fn whole(self) -> Result<Event, Vec<Stored>> {
        if self.stored.is_empty() { Ok(self.event) } else { Err(self.stored) }
    }

    /// The event with its payloads in their places; the place of one that `get` does not have, if there is such.
    pub fn filled(self, mut get: impl FnMut(&Reference) -> Option<Payload>) -> Result<Event, Stored> {
        let Self { mut event, stored } = self;
        let mut missing = None;
        if !stored.is_empty() {
            event.kind.payloads_mut(&mut |place, payload| {
                let place = place.to_string();
                let Some(stored) = stored.iter().find(|stored| stored.place == place) else { return };
                match get(&stored.reference) {
                    Some(whole) => *payload = whole,
                    None => missing = Some(stored.clone()),
                }
            });
        }
        missing.map_or(Ok(event), Err)
    }

    /// Writes the line.
    pub fn write(&self, out: &mut String) {
        let stored = self.stored.iter().map(|stored| stored.place.as_str()).collect();
        write(&self.event, stored, out);
    }

    /// Reads a line.
    pub fn read(text: &str) -> Result<Self, String> {
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let kind = EventKind::read(&envelope.kind, text)
            .ok_or_else(|| format!("unknown event type `{}`", envelope.kind))?
            .map_err(|e| format!("{}: {e}", envelope.kind))?;
        let stored = find(&kind, &envelope.stored)?;
        Ok(Self { event: Event { n: envelope.n, t: envelope.t, kind }, stored })
    }
}

#[derive(Serialize)]
struct Written<'a> {
    n: u64,
    t: Timestamp,
    #[serde(flatten)]
    kind: &'a EventKind,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stored: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    n: u64,
    t: Timestamp,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    stored: Vec<String>,
}

/// The references in these places of an event.
fn find(kind: &EventKind, places: &[String]) -> Result<Vec<Stored>, String> {
    let mut found = Vec::new();
    if places.is_empty() {
        return Ok(found);
    }
    let mut bad = None;
    kind.payloads(&mut |place, payload| {
        let place = place.to_string();
        if places.contains(&place) {
            match payload.read() {
                Ok(reference) => found.push(Stored { place, reference }),
                Err(e) => bad = Some(format!("stored: `{place}` is no reference: {e}")),
            }
        }
    });
    if let Some(bad) = bad {
        return Err(bad);
    }
    if found.len() == places.len() {
        return Ok(found);
    }
    let name = kind.name();
    Err(format!("stored: {places:?} are not as many places of payloads in this {name}"))
}

fn write(event: &Event, stored: Vec<&str>, out: &mut String) {
    let line = Written { n: event.n, t: event.t, kind: &event.kind, stored };
    // An event is plain data whose payloads are JSON already: it always has a JSON form.
    if let Ok(line) = serde_json::to_string(&line) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// Writes one event's line, with everything in it.
pub fn encode_event(event: &Event, out: &mut String) {
    write(event, Vec::new(), out);
}

/// Writes one event's line; payloads of more than `above` bytes leave it, and are given to the caller to be stored.
pub fn encode_above(event: &Event, above: usize, out: &mut String) -> Vec<(Reference, Payload)> {
    let mut is_large = false;
    event.kind.payloads(&mut |_, payload| is_large |= payload.size_bytes() > above);
    if !is_large {
        encode_event(event, out);
        return Vec::new();
    }
    let (mut line, mut large) = (Line::from(event.clone()), Vec::new());
    let Line { event, stored } = &mut line;
    event.kind.payloads_mut(&mut |place, payload| {
        if payload.size_bytes() <= above {
            return;
        }
        let reference = Reference::to(payload);
        // A reference is plain data: it always has a JSON form.
        let Ok(in_its_place) = Payload::of(&reference) else { return };
        large.push((reference, std::mem::replace(payload, in_its_place)));
        stored.push(Stored { place: place.to_string(), reference });
    });
    line.write(out);
    large
}

/// Reads one event's line that has everything in it.
pub fn decode_event(line: &str) -> Result<Event, String> {
    Line::read(line)?.whole().map_err(|stored| {
        let places: Vec<_> = stored.iter().map(|stored| stored.place.as_str()).collect();
        format!("stored: {} must be fetched first", places.join(", "))
    })
}
