//! Inputs made out of other inputs: by bytes, and by what JSON is made of.

use std::ops::Range;

use crate::dice::Dice;
use crate::json::{self, Value};

/// No input grows beyond this: a message has at most 1 MiB on its way in.
pub(crate) const LONGEST: usize = 1 << 20;

/// Bytes that have done harm before.
const BYTES: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n",
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"%2e%2e",
    b"%00",
    b"%",
    b"..",
    b"/",
    b"\"",
    b"}",
    b"{",
    b"]",
    b"[",
    b",",
    b":",
    b"--",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xa8",
];

/// Values that have.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "-1",
    "1",
    "0.001",
    "0.0009999",
    "1e400",
    "-1e400",
    "1e-400",
    "1e308",
    "1.7976931348623157e308",
    "1.8446744073709552e19",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551614",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "4294967295",
    "4294967296",
    "2147483648",
    "253402207200000",
    "9007199254740993",
    "0x10",
    "01",
    "1.",
    "1e",
    "NaN",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\\uD83E\\uDD80\"",
    "\"..\"",
    "\"a..b\"",
    "\".\"",
    "\"a/b\"",
    "\"%2e%2e%2fhistory\"",
    "\"~start:0198c0de-0000-4000-8000-000000000007:1\"",
    "\"0198c0de-0000-4000-8000-000000000007\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"millrace.schedule\"",
    "\"millrace.map\"",
    "\"default\"",
    "\"other\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"-009999-01-02T01:59:59Z\"",
    "\"1970-01-01T00:00:00Z\"",
    "\"2026-11-23T02:05:60Z\"",
    "\"* * * * *\"",
    "\"0 0 29 2 *\"",
    "\"0 0 31 2 *\"",
    "\"*/1 0-23/5 L * MON#5\"",
    "\"Europe/Berlin\"",
    "\"terminate_existing\"",
    "\"use_existing\"",
    "\"allow_all\"",
    "{}",
    "[]",
    "[[]]",
    "{\"\":{}}",
];

/// Another input, made of this one and perhaps of `other`.
pub(crate) fn mutated(dice: &mut Dice, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut made = input.to_vec();
    for _ in 0..1 + dice.below(4) {
        made = if dice.below(3) == 0 { by_bytes(dice, made, other) } else { by_values(dice, made, other) };
        made.truncate(LONGEST);
    }
    made
}

fn by_bytes(dice: &mut Dice, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let at = dice.below(input.len() + 1);
    match dice.below(9) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = dice.byte();
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        2 => {
            let bytes = dice.one_of(BYTES);
            input.splice(at..at, bytes.iter().copied());
        }
        3 => {
            let range = range(dice, &input);
            input.drain(range);
        }
        4 => {
            let range = range(dice, &input);
            let piece = input[range].to_vec();
            let times = 1 + dice.below(4);
            input.splice(at..at, piece.repeat(times));
        }
        5 => input.truncate(at),
        6 => {
            let range = range(dice, other);
            input.splice(at..at, other[range].iter().copied());
        }
        7 => {
            let from = dice.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let (bytes, length) = (dice.one_of(BYTES), dice.length());
            input.splice(at..at, bytes.repeat(length));
        }
    }
    input
}

fn range(dice: &mut Dice, input: &[u8]) -> Range<usize> {
    let start = dice.below(input.len() + 1);
    let length = if dice.once_in(8) { dice.below(input.len() + 1) } else { dice.below(17) };
    start..(start + length).min(input.len())
}

fn by_values(dice: &mut Dice, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let values = json::values(&input);
    let Some(value) = choose(dice, &values) else { return by_bytes(dice, input, other) };
    let (at, member) = (value.at, value.member);
    match dice.below(11) {
        0..3 => {
            let new = new_value(dice);
            input.splice(at, new);
        }
        3 => {
            // The same member twice: readers differ in which one counts.
            let mut again = vec![b','];
            again.extend_from_slice(&input[member.clone()]);
            input.splice(member.end..member.end, again);
        }
        4 => {
            let from = if input.get(member.end) == Some(&b',') { 1 } else { 0 };
            input.drain(member.start..member.end + from);
        }
        5 => {
            if let Some(from) = choose(dice, &values) {
                let copy = input[from.at].to_vec();
                input.splice(at, copy);
            }
        }
        6 => {
            if let Some(from) = choose(dice, &json::values(other)) {
                let copy = other[from.at].to_vec();
                input.splice(at, copy);
            }
        }
        7 => {
            if let Some(from) = choose(dice, &json::values(other)) {
                let mut copy = other[from.member].to_vec();
                copy.push(b',');
                input.splice(member.start..member.start, copy);
            }
        }
        8 => nudge(dice, &mut input, at),
        9 => {
            let (open, close) = dice.one_of(&[("[", "]"), ("{\"x\":", "}"), ("\"", "\""), (" ", "\n")]);
            input.splice(at.end..at.end, close.bytes());
            input.splice(at.start..at.start, open.bytes());
        }
        _ => {
            let name = dice.one_of(&["type", "id", "v", "x", "input", "n", "t", "kind", ""]);
            let mut extra = format!("\"{name}\":").into_bytes();
            extra.extend(new_value(dice));
            extra.push(b',');
            input.splice(member.start..member.start, extra);
        }
    }
    input
}

fn choose(dice: &mut Dice, values: &[Value]) -> Option<Value> {
    values.get(dice.below(values.len())).cloned()
}

/// A digit or a letter more, less, or another.
fn nudge(dice: &mut Dice, input: &mut Vec<u8>, at: Range<usize>) {
    let place = at.start + dice.below(at.len());
    let byte = dice.one_of(b"0123456789-+.eE~:_aZ ");
    if dice.once_in(2) {
        input.insert(place, byte);
    } else if let Some(old) = input.get_mut(place) {
        *old = byte;
    }
}

fn new_value(dice: &mut Dice) -> Vec<u8> {
    let length = dice.length();
    match dice.below(16) {
        0 => [b"[".repeat(length), b"]".repeat(length)].concat(),
        1 => ["{\"a\":".repeat(length), "1".to_owned(), "}".repeat(length)].concat().into_bytes(),
        2 => format!("\"{}\"", "a".repeat(length)).into_bytes(),
        3 => format!("[{}0]", "0,".repeat(length)).into_bytes(),
        4 => format!("\"{}\"", "\\u00e9".repeat(length)).into_bytes(),
        5 => dice.one_of(b"123456789").to_string().repeat(length).into_bytes(),
        6 => {
            let members: Vec<String> = (0..length.min(1 << 14)).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(",")).into_bytes()
        }
        _ => dice.one_of(VALUES).as_bytes().to_vec(),
    }
}
