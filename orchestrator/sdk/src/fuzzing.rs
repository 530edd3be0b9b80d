//! Ways in for `tests/fuzz` to what reads data from outside and is not public. No part of the API.

/// Reads a command line, the program's name first, without doing what it says.
#[cfg(feature = "embedded")]
pub fn command_line(words: &[&str]) -> Result<String, String> {
    crate::verbs::read(words)
}

/// Reads what Lambda hands to a function for messages of queues whose names begin with `prefix`; the queue and the body of
/// each.
#[cfg(feature = "aws")]
pub fn invocation(json: &[u8], prefix: &str) -> Result<Vec<(String, String)>, String> {
    let event = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let read = crate::lambda::read(event, prefix).map_err(|error| error.to_string())?;
    Ok(read.into_iter().map(|(queue, delivery)| (queue.to_string(), delivery.body)).collect())
}
