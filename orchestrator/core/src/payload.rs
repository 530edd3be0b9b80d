//! JSON that passes through without being looked at.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value kept as its text: the engine carries it, only the user's code reads it.
///
/// The text has no line break (inside a JSON string one is written `\n`), so a payload never ends a line of the
/// history early. Cheap to clone.
#[derive(Clone)]
pub struct Payload(Arc<RawValue>);

impl Payload {
    /// The largest that travels: a turn holds a few copies of it, and a function a quarter of a GiB. What is larger is
    /// stored by the user, and its name travels.
    pub const LARGEST_BYTES: usize = 16 << 20;

    /// Turns a value into its JSON.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::from_raw(serde_json::value::to_raw_value(value)?))
    }

    /// Checks that `text` is one JSON value and keeps it.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self::from_raw(RawValue::from_string(text.to_owned())?))
    }

    /// The JSON `null`, also the input of a workflow or activity that takes none.
    pub fn null() -> Self {
        Self(Arc::from(RawValue::NULL.to_owned()))
    }

    /// Reads the value as `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// How long the JSON text is.
    pub fn size_bytes(&self) -> usize {
        self.as_str().len()
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// A raw line break in valid JSON can only be white space between tokens.
    fn from_raw(raw: Box<RawValue>) -> Self {
        if !raw.get().contains(['\n', '\r']) {
            return Self(Arc::from(raw));
        }
        let flat = raw.get().replace(['\n', '\r'], " ");
        Self(RawValue::from_string(flat).map_or_else(|_| Arc::from(raw), Arc::from))
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_raw(Box::<RawValue>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Payload;

    #[test]
    fn a_pretty_printed_value_becomes_one_line() {
        let payload = Payload::parse("{\n  \"a\": \"x\\ny\"\r\n}").unwrap();
        assert!(!payload.as_str().contains(['\n', '\r']));
        let value: serde_json::Value = payload.read().unwrap();
        assert_eq!(value["a"], "x\ny");
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        assert!(Payload::parse("{\"a\":").is_err());
    }
}
