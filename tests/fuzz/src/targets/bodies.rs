//! Bodies of messages on SQS: pointers to large ones, and characters that it does not carry.

use millrace_core::Payload;
use millrace_engine::ports::{QueueName, pointed_to};

use crate::{Memory, Seeds, Target};

/// Bodies.
pub const TARGET: Target = Target {
    name: "bodies",
    seeds: &[Seeds::Schemas(&["start", "signal"])],
    read,
    memory: Memory { times: 48, plus: 64_000 },
    slice: 4_000,
};

fn read(input: &[u8]) -> String {
    let Ok(body) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let (inbox, events) = (QueueName::inbox(), QueueName::events());
    let pointers = [&inbox, &inbox.dead_letters(), &events].map(|queue| pointed_to(queue, body));
    assert!(pointers[0].is_none() || pointers[2].is_none(), "a body that points into both folders");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    for hash in pointers.iter().flatten() {
        let named = value(body).and_then(|pointer| Some(pointer["body"].as_str()?.to_owned()));
        assert!(named.is_some_and(|name| name.ends_with(&format!("/{hash}"))), "{hash}");
    }
    let carried = millrace_aws::fuzzing::carried(body);
    let is_json = Payload::parse(body).is_ok();
    if is_json {
        assert!(Payload::parse(&carried).is_ok(), "JSON stays JSON");
        if let Some(before) = value(body) {
            assert_eq!(value(&carried), Some(before), "and says the same");
        }
    }
    format!("{is_json} {} {:?}", carried == body, pointers.map(|pointer| pointer.is_some()))
}
