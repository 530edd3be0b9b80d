//! What Lambda hands to a function for messages of a queue.

use super::unreadable;
use crate::{Memory, Target};

/// An invocation.
pub const TARGET: Target =
    Target { name: "invocation", seeds: &[], read, memory: Memory { times: 48, plus: 64_000 }, slice: 2_000 };

fn read(input: &[u8]) -> String {
    match millrace::fuzzing::invocation(input, "shop") {
        Ok(messages) => {
            messages.iter().for_each(|(queue, _)| assert!(!queue.contains(':'), "{queue}"));
            format!("{} messages", if messages.is_empty() { "no" } else { "some" })
        }
        Err(error) => unreadable(error),
    }
}
