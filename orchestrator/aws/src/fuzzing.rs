//! Ways in for `tests/fuzz` to what reads data from outside and is not public. No part of the API.

/// A JSON text as SQS carries it.
pub fn carried(json: &str) -> String {
    crate::characters::escaped(json).into_owned()
}
