//! Sealed parts: compressed, so a few bytes may claim to be very many.

use millrace_format::history::{SealedPart, decode_part};

use super::unreadable;
use crate::{Memory, Seeds, Target};

/// Sealed events.
pub const TARGET: Target = Target {
    name: "part",
    seeds: &[Seeds::Histories(".zst"), Seeds::Histories(".ndjson")],
    read,
    // The limit of what is decompressed, once as bytes and never twice.
    memory: Memory { times: 96, plus: 200 << 20 },
    slice: 150,
};

/// How a compressed stream begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn read(input: &[u8]) -> String {
    if input.starts_with(&MAGIC) {
        return of_bytes(input);
    }
    // Mutated text, compressed as the engine does it.
    let first = String::from_utf8_lossy(input);
    let first =
        first.strip_prefix("{\"n\":").and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(1_u64);
    let lines = String::from_utf8_lossy(input).lines().count() as u64;
    let last = first.saturating_add(lines).saturating_sub(1);
    let part = SealedPart { first, last, crc: crc32fast::hash(input) };
    let Ok(body) = zstd::bulk::compress(input, 1) else { return "not compressed".to_owned() };
    let read = match decode_part("k", part, &body) {
        Ok(lines) => lines,
        Err(corrupt) => return unreadable(corrupt),
    };
    let mut text = String::new();
    read.iter().for_each(|line| line.write(&mut text));
    let part = SealedPart { crc: crc32fast::hash(text.as_bytes()), ..part };
    let body = zstd::bulk::compress(text.as_bytes(), 1).expect("it can be compressed");
    assert_eq!(decode_part("k", part, &body).as_ref(), Ok(&read), "written and read again");
    format!(
        "{} kinds",
        read.iter().map(|line| line.outline().kind.name()).collect::<std::collections::BTreeSet<_>>().len()
    )
}

fn of_bytes(body: &[u8]) -> String {
    let part = SealedPart { first: 1, last: 602, crc: 0 };
    match decode_part("k", part, body) {
        Ok(_) => "a part".to_owned(),
        Err(corrupt) => unreadable(corrupt),
    }
}
