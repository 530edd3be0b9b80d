//! Ways in for `tests/fuzz` to what reads data from outside and is not public. No part of the API.

use millrace_engine::ports::QueueName;

/// The hash that a body from this queue points to, if it is a pointer.
pub fn pointer(queue: &QueueName, body: &str) -> Option<String> {
    crate::payloads::pointed_to(queue, body)
}

/// A JSON text as SQS carries it.
pub fn carried(json: &str) -> String {
    crate::characters::escaped(json).into_owned()
}
