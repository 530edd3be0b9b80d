//! Which characters SQS carries, and what becomes of the others.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How long the reason in a dead-letter queue may be, in characters.
const LONGEST_ERROR: usize = 1_000;
/// SQS takes no empty attribute.
const NO_REASON: &str = "no reason was given";

/// `#x9 | #xA | #xD | #x20-#xD7FF | #xE000-#xFFFD | #x10000-#x10FFFF`, which is XML 1.0's idea of a character.
fn is_carried(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A JSON text without characters that SQS refuses. They stand inside strings, where JSON has an escape for them.
pub(crate) fn escaped(json: &str) -> Cow<'_, str> {
    if json.chars().all(is_carried) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_carried(c) {
            text.push(c);
        } else {
            // All of them lie in the basic plane: one escape each. Writing to a string cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        }
    }
    Cow::Owned(text)
}

/// The reason as an attribute can hold it.
pub(crate) fn reason(error: &str) -> String {
    let carried = |c| if is_carried(c) { c } else { char::REPLACEMENT_CHARACTER };
    let text: String = error.chars().take(LONGEST_ERROR).map(carried).collect();
    if text.is_empty() { NO_REASON.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(escaped("{\"a\":\"\u{e9}\u{1f980}\t\r\n\u{85}\u{fffd}\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_sqs_refuses_is_escaped_and_means_the_same() {
        let text = "a\u{fffe}b\u{ffff}c\u{10ffff}";
        let json = format!("\"{text}\"");
        let sent = escaped(&json);
        assert_eq!(sent, "\"a\\ufffeb\\uffffc\u{10ffff}\"");
        assert_eq!(serde_json::from_str::<String>(&sent).unwrap(), text);
    }

    #[test]
    fn a_reason_is_short_and_never_empty() {
        assert_eq!(reason(""), NO_REASON);
        assert_eq!(reason(&"\u{1f980}".repeat(2_000)).chars().count(), 1_000);
        assert_eq!(reason("a\u{0}b"), "a\u{fffd}b");
    }
}
