//! Lines, cut out of a file piece by piece.

use millrace_core::ApplicationFailure;

use super::place::invalid;
use crate::Page;

/// A longer line fails the map: it would be longer than a message may be.
const LONGEST_LINE: u64 = 1_000_000;

/// Where a page's lines begin, in which version of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) offset: u64,
    pub(super) version: String,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Result<Self, ApplicationFailure> {
        let parts = text.split_once('@').and_then(|(offset, version)| Some((offset.parse().ok()?, version)));
        let (offset, version) = parts.ok_or_else(|| invalid(format!("`{text}` is no cursor in a file")))?;
        Ok(Self { offset, version: version.to_owned() })
    }

    fn text(&self) -> String {
        format!("{}@{}", self.offset, self.version)
    }
}

/// The file is another than that of the first page.
pub(super) fn changed(url: &str) -> ApplicationFailure {
    let text = format!(
        "`{url}` has been replaced while its lines were read: start again, and give each version a name of its own"
    );
    ApplicationFailure::new("SourceChanged", text).non_retryable()
}

/// Some bytes of a file.
pub(super) struct Window {
    pub(super) bytes: Vec<u8>,
    pub(super) from: Cursor,
    /// Whether the file ends with them.
    pub(super) is_last: bool,
}

impl Window {
    /// The lines that end in it, and where the next one begins; nothing if not one does.
    pub(super) fn page(&self, url: &str, most: usize) -> Result<Option<Page<String>>, ApplicationFailure> {
        let mut items = Vec::new();
        let mut rest = self.bytes.as_slice();
        while items.len() < most {
            let (line, after) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None if self.is_last && !rest.is_empty() => (rest, &rest[rest.len()..]),
                None => break,
            };
            items.push(self.line(url, line, rest.len())?);
            rest = after;
        }
        let read = (self.bytes.len() - rest.len()) as u64;
        if items.is_empty() && !self.is_last {
            return self.too_long(url, rest.len() as u64).map_or(Ok(None), Err);
        }
        let next = Cursor { offset: self.from.offset + read, ..self.from.clone() };
        let is_more = !self.is_last || !rest.is_empty();
        Ok(Some(Page { items, next: is_more.then(|| next.text()) }))
    }

    fn line(&self, url: &str, line: &[u8], left: usize) -> Result<String, ApplicationFailure> {
        if let Some(too_long) = self.too_long(url, line.len() as u64) {
            return Err(too_long);
        }
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(text).map(str::to_owned).map_err(|_| {
            let at = self.from.offset + (self.bytes.len() - left) as u64;
            invalid(format!(
                "the line of `{url}` at byte {at} is not UTF-8: convert the file, or map over keys and read bytes in the \
                 activity"
            ))
        })
    }

    fn too_long(&self, url: &str, length: u64) -> Option<ApplicationFailure> {
        let text = || {
            format!(
                "a line of `{url}` after byte {} has more than {LONGEST_LINE} bytes: split it, or map over keys and read \
                 the file in the activity",
                self.from.offset
            )
        };
        (length > LONGEST_LINE).then(|| invalid(text()))
    }
}

#[cfg(test)]
mod tests;
