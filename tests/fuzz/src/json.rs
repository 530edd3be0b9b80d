//! Where the values of a JSON text begin and end. Tolerant: what it is given was mutated before.

use std::ops::Range;

/// A value in a text, and the member that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// The value's bytes.
    pub(crate) at: Range<usize>,
    /// The member's bytes, its name included; the value's own outside of objects.
    pub(crate) member: Range<usize>,
}

/// The values that can be made out, in the order of their ends.
pub(crate) fn values(text: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    let (mut open, mut names): (Vec<(usize, usize)>, Option<usize>) = (Vec::new(), None);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let start = at;
        match byte {
            b'{' | b'[' => {
                open.push((start, names.take().unwrap_or(start)));
                at += 1;
                continue;
            }
            b'}' | b']' => {
                at += 1;
                if let Some((start, member)) = open.pop() {
                    found.push(Value { at: start..at, member: member..at });
                }
                names = None;
                continue;
            }
            b'"' => at = end_of_text(text, start),
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                let ends = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
                at = text[start..].iter().position(ends).map_or(text.len(), |length| start + length);
            }
            _ => {
                at += 1;
                continue;
            }
        }
        let is_name = byte == b'"' && next_token(text, at) == Some(b':');
        if is_name {
            names = Some(start);
        } else {
            let member = names.take().unwrap_or(start);
            found.push(Value { at: start..at, member: member..at });
        }
    }
    found
}

fn end_of_text(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn next_token(text: &[u8], from: usize) -> Option<u8> {
    text.get(from..)?.iter().find(|byte| !byte.is_ascii_whitespace()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_members_are_told_apart() {
        let text = br#"{"a": [1, "x\"y"], "b":{"c":null}}"#;
        let show = |range: Range<usize>| String::from_utf8_lossy(&text[range]).into_owned();
        let found: Vec<_> =
            values(text).into_iter().map(|value| (show(value.at), show(value.member))).collect();
        let expected = [
            ("1", "1"),
            (r#""x\"y""#, r#""x\"y""#),
            (r#"[1, "x\"y"]"#, r#""a": [1, "x\"y"]"#),
            ("null", r#""c":null"#),
            (r#"{"c":null}"#, r#""b":{"c":null}"#),
        ];
        for (i, (value, member)) in expected.iter().enumerate() {
            assert_eq!(found[i], ((*value).to_owned(), (*member).to_owned()));
        }
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn what_is_cut_off_is_no_trouble() {
        let text = br#"{"a":["b\"#;
        for length in 0..=text.len() {
            values(&text[..length]);
        }
    }
}
