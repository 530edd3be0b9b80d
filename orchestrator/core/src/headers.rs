//! What a start hands on to everything that comes of it.

use std::collections::BTreeMap;

/// Names and short texts that a start is given, such as a `traceparent`: the run that it begins has them, the runs that it
/// continues as, its children, and the task of every activity. Nobody here reads them.
pub type Headers = BTreeMap<String, String>;

/// How many headers a start may have.
pub const MOST_HEADERS: usize = 32;
/// How many bytes their names and values may have together: they travel with every task.
pub const MOST_HEADER_BYTES: usize = 4 * 1024;

/// Says which header cannot be one, and why.
pub fn check_headers(headers: &Headers) -> Result<(), String> {
    if headers.len() > MOST_HEADERS {
        return Err(format!("headers: {} are too many; a start has at most {MOST_HEADERS}", headers.len()));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if let Some(name) = headers.keys().find(|name| name.is_empty() || !name.chars().all(is_plain)) {
        return Err(format!("headers: `{name:.100}` is no name; use letters, digits or any of `-_.`"));
    }
    if let Some((name, _)) = headers.iter().find(|(_, value)| value.chars().any(char::is_control)) {
        return Err(format!("headers.{name:.100}: the value has a control character; leave it out"));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MOST_HEADER_BYTES {
        return Err(format!(
            "headers: {bytes} bytes are too many; names and values have at most {MOST_HEADER_BYTES} together, so put more \
             into the input or the memo"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: impl IntoIterator<Item = (String, String)>) -> String {
        check_headers(&headers.into_iter().collect()).unwrap_err()
    }

    #[test]
    fn what_cannot_be_a_header_is_named() {
        let one = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        assert_eq!(check_headers(&one("traceparent", "00-ab-cd-01").into_iter().collect()), Ok(()));
        assert_eq!(
            check_headers(&one("x", &"v".repeat(MOST_HEADER_BYTES - 1)).into_iter().collect()),
            Ok(())
        );
        assert!(refused(one("", "x")).starts_with("headers: `` is no name"));
        assert!(refused(one("a b", "x")).starts_with("headers: `a b` is no name"));
        assert!(refused(one("a", "x\ny")).starts_with("headers.a: the value has a control character"));
        assert!(
            refused(one("x", &"v".repeat(MOST_HEADER_BYTES))).starts_with("headers: 4097 bytes are too many")
        );
        let many = (0..=MOST_HEADERS).map(|n| (format!("h{n}"), String::new()));
        assert!(refused(many).starts_with("headers: 33 are too many"));
    }
}
