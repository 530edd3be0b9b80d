//! The encoded form: a JSON object with a reserved key that says what was done, and the bytes that came of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millrace_core::Payload;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::CodecError;

/// The reserved key. A value of the user's own that has it, at its top, is wrapped before it leaves the process: so whatever
/// has it there is an encoded payload.
pub const MARK: &str = "$millrace";

/// How [`Content`] looks: `{"$millrace":"zstd/1+aes-gcm/1:2026-11","data":"…"}`, the steps in the order in which they were
/// made, and base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded<'a> {
    #[serde(rename = "$millrace", borrow)]
    steps: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// What codecs work on: bytes, and the steps that made them of a payload's JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    steps: String,
    bytes: Vec<u8>,
}

impl Content {
    /// The content of a payload: the JSON text of a plain one, the bytes of an encoded one.
    pub fn of(payload: &Payload) -> Result<Self, CodecError> {
        if !is_marked(payload) {
            return Ok(Self { steps: String::new(), bytes: payload.as_str().as_bytes().to_vec() });
        }
        let broken = |what: &dyn std::fmt::Display| {
            CodecError::new(format!(
                "a payload has the reserved key `{MARK}` and is no encoded one: {what}; a value with this key of its own is \
                 sent as {{\"{MARK}\":\"{PLAIN}\",\"data\":\"<its JSON in base64>\"}}"
            ))
        };
        let encoded: Encoded<'_> = serde_json::from_str(payload.as_str()).map_err(|error| broken(&error))?;
        let bytes = BASE64.decode(encoded.data.as_bytes()).map_err(|error| broken(&error))?;
        Ok(Self { steps: encoded.steps.into_owned(), bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All steps so far, in their order, joined by `+`; empty for plain JSON.
    pub fn steps(&self) -> &str {
        &self.steps
    }

    /// The last step, `NAME/VERSION` or `NAME/VERSION:LABEL`.
    pub fn last(&self) -> Option<&str> {
        self.steps.rsplit('+').next().filter(|step| !step.is_empty())
    }

    /// What a further step makes of it. A step is `NAME/VERSION` or `NAME/VERSION:LABEL`, without `+`.
    #[must_use]
    pub fn then(&self, step: &str, bytes: Vec<u8>) -> Self {
        let steps = if self.steps.is_empty() { step.to_owned() } else { format!("{}+{step}", self.steps) };
        Self { steps, bytes }
    }

    /// What there was before the last step.
    #[must_use]
    pub fn before(&self, bytes: Vec<u8>) -> Self {
        let before = self.steps.rsplit_once('+').map_or("", |(before, _)| before);
        Self { steps: before.to_owned(), bytes }
    }

    /// As a payload: the encoded form, or the JSON itself if no step is left.
    pub fn into_payload(self) -> Result<Payload, CodecError> {
        if self.steps.is_empty() {
            return json(&self.bytes);
        }
        let encoded = Encoded { steps: self.steps.into(), data: BASE64.encode(self.bytes).into() };
        Payload::of(&encoded).map_err(CodecError::new)
    }
}

/// The step of a value of the user's own that has the reserved key.
pub(super) const PLAIN: &str = "json/1";

/// Wraps a value that would be taken for an encoded one.
pub(super) fn wrapped(payload: &Payload) -> Result<Payload, CodecError> {
    Content { steps: PLAIN.to_owned(), bytes: payload.as_str().as_bytes().to_vec() }.into_payload()
}

/// The value that was wrapped, if that is what it is.
pub(super) fn unwrapped(content: &Content) -> Result<Option<Payload>, CodecError> {
    if content.steps != PLAIN { Ok(None) } else { json(&content.bytes).map(Some) }
}

fn json(bytes: &[u8]) -> Result<Payload, CodecError> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| Payload::parse(text).ok());
    text.ok_or_else(|| CodecError::new("a payload was decoded, and what came of it is not JSON"))
}

/// Whether the reserved key stands at the top of this JSON. Looked at closely only if it occurs at all.
pub(super) fn is_marked(payload: &Payload) -> bool {
    let text = payload.as_str();
    if !text.trim_start().starts_with('{') || !text.contains(MARK) {
        return false;
    }
    let top: Result<BTreeMap<Cow<'_, str>, &RawValue>, _> = serde_json::from_str(text);
    top.is_ok_and(|top| top.contains_key(MARK))
}
