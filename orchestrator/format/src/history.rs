//! The history object: a header line, then one JSON line for each event that is not sealed yet.
//!
//! A person can read it (`… | jq`). The header says which events follow and their checksum, and ends in a checksum of
//! itself, so an object that was cut short or edited is found out, with the line.
//!
//! Payloads that are too large for it are objects of their own: see [`Line`].

mod header;
mod line;

use std::collections::BTreeSet;
use std::io::Read as _;

use millrace_core::{Event, Payload};
use serde::{Deserialize, Serialize};

pub use header::{Commit, Header, PendingActivity, PendingChild};
pub use line::{ContentHash, Line, Reference, Stored, decode_event, encode_above, encode_event};

/// The version of the history format that this build writes.
pub const FORMAT: u32 = 1;
/// A tail longer than this is sealed at the next turn.
pub const SEAL_AT: usize = 64 * 1024;
/// No sealed part has more than this, before it is compressed: a few compressed bytes can claim to be very many.
pub const LARGEST_PART: usize = 64 << 20;

/// The longest details of a failure that a header repeats.
pub const LONGEST_DETAILS: usize = 1024;

/// A history that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history `{key}` is corrupt{}: {reason}; the run is left alone until the object is restored", at(*.line))]
pub struct Corrupt {
    /// The object.
    pub key: String,
    /// The line, from 1; 0 if it is about the object as a whole.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(" at line {line}") }
}

/// A sealed stretch of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPart {
    /// The first event's number.
    pub first: u64,
    /// The last event's number.
    pub last: u64,
    /// CRC-32 of the events' text, before it was compressed.
    pub crc: u32,
}

/// The events of a run that are not sealed yet, as text, and where the sealed ones lie.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Sealed stretches, oldest first.
    pub parts: Vec<SealedPart>,
    /// The number of the first event in `text`.
    pub first: u64,
    /// One line an event.
    pub text: String,
    crc: crc32fast::Hasher,
    /// Payloads of the run that are objects already.
    stored: BTreeSet<ContentHash>,
}

impl Tail {
    /// The tail of a run without events.
    pub fn empty() -> Self {
        Self { first: 1, ..Self::default() }
    }

    /// Adds events behind the ones that are there.
    pub fn push(&mut self, events: &[Event]) {
        let from = self.text.len();
        for event in events {
            encode_event(event, &mut self.text);
        }
        self.crc.update(&self.text.as_bytes()[from..]);
    }

    /// Adds events; their payloads of more than `above` bytes are not in the text, and those that are to be stored first,
    /// because nothing in the run has the same content, are given to the caller.
    #[must_use]
    pub fn push_above(&mut self, events: &[Event], above: usize) -> Vec<(Reference, Payload)> {
        let from = self.text.len();
        let mut large = Vec::new();
        for event in events {
            large.append(&mut encode_above(event, above, &mut self.text));
        }
        self.crc.update(&self.text.as_bytes()[from..]);
        large.retain(|(reference, _)| self.stored.insert(reference.sha256));
        large
    }

    /// Notes which payloads of these lines are objects already: they need not be stored again.
    pub fn note_stored(&mut self, lines: &[Line]) {
        self.stored.extend(lines.iter().flat_map(Line::stored).map(|stored| stored.reference.sha256));
    }

    /// The stretch to seal before the next commit, and its compressed bytes, if the tail has grown too long: all of it,
    /// or as many events as fit into a part. `last` is the last event's number: all of the tail must be committed.
    pub fn seal(&self, last: u64) -> std::io::Result<Option<(SealedPart, Vec<u8>)>> {
        self.seal_within(last, LARGEST_PART)
    }

    fn seal_within(&self, last: u64, most: usize) -> std::io::Result<Option<(SealedPart, Vec<u8>)>> {
        if self.text.len() < SEAL_AT {
            return Ok(None);
        }
        let (text, last) = match self.text.len() <= most {
            true => (self.text.as_bytes(), last),
            false => match self.events_within(most) {
                (_, 0) => return Ok(None), // One event larger than a part: it stays in the head.
                (text, events) => (text, self.first + events - 1),
            },
        };
        let part = SealedPart { first: self.first, last, crc: crc32fast::hash(text) };
        Ok(Some((part, zstd::bulk::compress(text, 1)?)))
    }

    /// The first events that together are no longer than this, and how many they are.
    fn events_within(&self, most: usize) -> (&[u8], u64) {
        let text = self.text.as_bytes().get(..most).unwrap_or(self.text.as_bytes());
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = text.get(..end).unwrap_or_default();
        (text, text.iter().filter(|byte| **byte == b'\n').count() as u64)
    }

    /// The tail after its first events were sealed as `part`.
    #[must_use]
    pub fn sealed(&self, part: SealedPart) -> Self {
        let parts = self.parts.iter().copied().chain([part]).collect();
        let sealed =
            usize::try_from(part.last.saturating_sub(part.first).saturating_add(1)).unwrap_or(usize::MAX);
        let rest = self.text.split_inclusive('\n').skip(sealed).collect::<String>();
        let mut crc = crc32fast::Hasher::new();
        crc.update(rest.as_bytes());
        Self { parts, first: part.last + 1, text: rest, crc, stored: self.stored.clone() }
    }
}

/// A history object as it was read. Most readers want the header alone, or how the run ended; so of the events only the last
/// is decoded with it, and the others when they are asked for.
#[derive(Clone, Debug)]
pub struct Head {
    /// The object, for errors.
    pub key: String,
    /// The first line.
    pub header: Header,
    /// What follows it. Which payloads are objects already is [to be noted](Tail::note_stored) from the lines.
    pub tail: Tail,
    /// The last event of the tail.
    pub last: Option<Line>,
}

impl Head {
    /// Reads and checks a history object.
    pub fn decode(key: &str, body: &[u8]) -> Result<Self, Corrupt> {
        let corrupt = |line, reason: String| Corrupt { key: key.to_owned(), line, reason };
        let text = std::str::from_utf8(body).map_err(|e| {
            let line = 1 + body.iter().take(e.valid_up_to()).filter(|b| **b == b'\n').count();
            corrupt(line, "it is not UTF-8".into())
        })?;
        let (first_line, text) =
            text.split_once('\n').ok_or_else(|| corrupt(1, "the header line has no end".into()))?;
        let header: Header =
            serde_json::from_str(first_line).map_err(|e| corrupt(1, format!("header: {e}")))?;
        if header.format != FORMAT {
            return Err(corrupt(1, format!("format {} is not known here", header.format)));
        }
        if !is_sealed_by_crc(first_line) {
            return Err(corrupt(1, "the header was edited: its checksum is not its own".into()));
        }
        let mut tail = Tail { parts: header.parts.clone(), first: header.first, ..Tail::default() };
        tail.text.push_str(text);
        tail.crc.update(text.as_bytes());
        let count = text.lines().count();
        if !has_events(&header, count) || tail.crc.clone().finalize() != header.crc {
            // The first line that is not what was written, if one can be told.
            decode_lines(key, text, header.first, FIRST_EVENT)?;
        }
        if !has_events(&header, count) {
            let (first, last) = (header.first, header.last);
            let reason = format!("the header says that events {first} to {last} follow, {count} are here");
            return Err(corrupt(1 + count, reason));
        }
        if tail.crc.clone().finalize() != header.crc {
            return Err(corrupt(1, "the events were edited: their checksum is not the header's".into()));
        }
        let last = text.lines().next_back();
        let last = last.map(|line| decode_line(key, line, 1 + count, Some(header.last))).transpose()?;
        Ok(Self { key: key.to_owned(), header, tail, last })
    }

    /// The events of the tail, whose large payloads may be elsewhere.
    pub fn lines(&self) -> Result<Vec<Line>, Corrupt> {
        decode_lines(&self.key, &self.tail.text, self.header.first, FIRST_EVENT)
    }
}

/// The line of the object, from 1, at which the events begin.
const FIRST_EVENT: usize = 2;

/// Whether so many events follow this header.
fn has_events(header: &Header, count: usize) -> bool {
    header.first.checked_add(count as u64) == header.last.checked_add(1)
}

/// The bytes of a history object.
pub fn encode(header: &Header, tail: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(tail.len() + 1024);
    serde_json::to_writer(&mut bytes, header)?;
    bytes.pop(); // The closing brace: the line ends with the checksum of what is before it.
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("{HEADER_CRC}{crc}}}\n").as_bytes());
    bytes.extend_from_slice(tail.as_bytes());
    Ok(bytes)
}

/// The header's last field, with which the line ends.
const HEADER_CRC: &str = ",\"header_crc\":";

fn is_sealed_by_crc(line: &str) -> bool {
    line.rsplit_once(HEADER_CRC)
        .is_some_and(|(covered, crc)| crc == format!("{}}}", crc32fast::hash(covered.as_bytes())))
}

/// Reads a sealed part: the events' lines, checked to be `part`'s.
pub fn decode_part(key: &str, part: SealedPart, body: &[u8]) -> Result<Vec<Line>, Corrupt> {
    let corrupt = |line, reason: String| Corrupt { key: key.to_owned(), line, reason };
    let bytes = decompressed(body).map_err(|e| corrupt(1, format!("cannot be decompressed: {e}")))?;
    if bytes.len() > LARGEST_PART {
        return Err(corrupt(
            1,
            format!("it has more than {} MiB once it is decompressed", LARGEST_PART >> 20),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| corrupt(1, "it is not UTF-8".into()))?;
    let lines = decode_lines(key, &text, part.first, 1)?;
    if part.first.checked_add(lines.len() as u64) != part.last.checked_add(1) {
        let reason = format!("events {} to {} were expected", part.first, part.last);
        return Err(corrupt(lines.len().max(1), reason));
    }
    if crc32fast::hash(text.as_bytes()) != part.crc {
        return Err(corrupt(1, "the events were edited: their checksum is not the header's".into()));
    }
    Ok(lines)
}

/// What a part says it is; a little more than the limit of what exceeds it.
fn decompressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let claimed = zstd::bulk::Decompressor::upper_bound(body).unwrap_or_default();
    let mut bytes = Vec::with_capacity(claimed.min(LARGEST_PART + 1));
    zstd::stream::Decoder::new(body)?.take(LARGEST_PART as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode_lines(key: &str, text: &str, first: u64, first_line: usize) -> Result<Vec<Line>, Corrupt> {
    let numbered = text.lines().enumerate();
    numbered.map(|(i, line)| decode_line(key, line, first_line + i, first.checked_add(i as u64))).collect()
}

fn decode_line(key: &str, text: &str, at: usize, expected: Option<u64>) -> Result<Line, Corrupt> {
    let corrupt = |reason| Corrupt { key: key.to_owned(), line: at, reason };
    let line = Line::read(text).map_err(corrupt)?;
    if Some(line.outline().n) != expected {
        let expected = expected.map_or_else(|| "no event".to_owned(), |n| format!("event {n}"));
        return Err(corrupt(format!("{expected} was expected, this is {}", line.outline().n)));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use millrace_core::{Event, Payload, SignalReceived, Timestamp};

    use super::*;

    fn tail(events: u64) -> Tail {
        let signal = |n: u64| SignalReceived {
            name: "x".repeat(1_000),
            input: Payload::null(),
            request_id: format!("r-{n}").parse().unwrap(),
        };
        let event = |n| Event { n, t: Timestamp::default(), kind: signal(n).into() };
        let mut tail = Tail::empty();
        tail.push(&(1..=events).map(event).collect::<Vec<_>>());
        tail
    }

    #[test]
    fn a_tail_that_is_too_long_for_one_part_is_sealed_in_several() {
        let (mut tail, mut events) = (tail(100), Vec::new());
        while let Some((part, body)) = tail.seal_within(100, 70_000).unwrap() {
            assert_eq!(part.first, events.len() as u64 + 1);
            events.extend(decode_part("k", part, &body).unwrap());
            tail = tail.sealed(part);
        }
        assert_eq!(tail.parts.len(), 1, "what is left is short enough to stay");
        assert_eq!(tail.first, events.len() as u64 + 1);
        events.extend(decode_lines("k", &tail.text, tail.first, 1).unwrap());
        assert_eq!(events.len(), 100);
        assert_eq!(tail.crc.finalize(), crc32fast::hash(tail.text.as_bytes()));
    }

    #[test]
    fn an_event_too_long_for_a_part_stays_in_the_head() {
        assert!(tail(100).seal_within(100, 500).unwrap().is_none());
    }

    #[test]
    fn a_part_that_claims_to_be_endless_is_corrupt() {
        let endless = zstd::bulk::compress(&vec![b' '; LARGEST_PART + 1], 1).unwrap();
        assert!(endless.len() < 10_000, "{} bytes", endless.len());
        let error = decode_part("k", SealedPart { first: 1, last: 1, crc: 0 }, &endless).unwrap_err();
        assert!(error.reason.contains("more than 64 MiB"), "{error}");
    }
}
