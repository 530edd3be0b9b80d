//! Messages that anyone may send: to the inbox, and as the body of `POST /v1/messages`.

use millrace_core::Message;
use millrace_format::message::{read_inbox, read_request, write};

use super::refused;
use crate::{Memory, Seeds, Target};

/// Messages of the public contract.
pub const TARGET: Target = Target {
    name: "inbox",
    seeds: &[Seeds::Schemas(&[
        "start",
        "signal",
        "update",
        "cancel",
        "terminate",
        "resume",
        "complete",
        "fail",
        "outcome",
        "task",
    ])],
    read,
    memory: Memory { times: 24, plus: 64_000 },
    slice: 4_000,
};

fn read(input: &[u8]) -> String {
    let Ok(body) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let addressed = match read_inbox(body, "m-1") {
        Ok(addressed) => addressed,
        Err(bad) => return refused(bad),
    };
    let internal = matches!(
        addressed.message,
        Message::Outcome(_)
            | Message::Timer { .. }
            | Message::Wake { .. }
            | Message::ChildOutcome { .. }
            | Message::Stop(_)
    );
    assert!(!internal, "the inbox lets a message of the system's own in: {:?}", addressed.message);
    if let Message::Start(start) = &addressed.message {
        assert!(start.parent.is_none() && !start.request_id.is_own(), "a start that says a run has sent it");
    }
    // The door of the HTTP API is the same.
    let request = read_request(body).expect("what the queue takes, the HTTP API takes");
    let written = write(&request);
    assert_eq!(read_request(&written).as_ref(), Ok(&request), "written and read again");
    assert_eq!(read_inbox(&written, "m-1").as_ref(), Ok(&addressed), "written and read again");
    format!("{} {}", addressed.message.name(), fields(&written))
}

/// Which fields there are.
fn fields(json: &str) -> String {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    object.keys().cloned().collect::<Vec<_>>().join(" ")
}
