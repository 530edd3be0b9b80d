//! Finds payloads that nobody has listed: whatever keeps an object that it knows nothing of is one.

use millrace_core::{Event, Payload};
use millrace_format::Line;
use millrace_format::history::{decode_event, encode_above, encode_event};
use serde_json::{Value, json};

/// Puts a large value of no known shape in every place of an event, one after the other. Where the event keeps it, it must be
/// a payload that leaves the line. The places where it was kept.
pub(crate) fn places(event: &Event) -> Vec<String> {
    let mark = "m".repeat(200);
    let (mut event, mut text) = (event.clone(), String::new());
    // Payloads may hold numbers that only pass through as text.
    event.kind.payloads_mut(&mut |_, payload| *payload = Payload::of(&1).unwrap());
    encode_event(&event, &mut text);
    let line: Value = serde_json::from_str(&text).unwrap();
    let mut paths = Vec::new();
    collect(&line, "", &mut paths);
    let mut kept = Vec::new();
    for path in paths {
        let mut marked = line.clone();
        *marked.pointer_mut(&path).unwrap() = json!({ "of no known shape": mark });
        if path == "/headers" || path == "/headers/of no known shape" {
            continue; // Texts by any name, checked at the door: small, and not payloads.
        }
        let Ok(event) = decode_event(&marked.to_string()) else { continue };
        let mut text = String::new();
        encode_event(&event, &mut text);
        if !text.contains(&mark) {
            continue; // A field of its own shape, all of whose own fields may be absent.
        }
        let mut text = String::new();
        let large = encode_above(&event, 100, &mut text);
        assert!(!text.contains(&mark), "{path} of {} is a payload that is not listed", event.kind.name());
        let line = Line::read(text.trim_end()).unwrap();
        assert!(decode_event(text.trim_end()).is_err(), "{text}");
        for stored in line.stored() {
            let written: Value = serde_json::from_str(&text).unwrap();
            let pointer = format!("/{}", stored.place.replace('.', "/"));
            assert_eq!(written.pointer(&pointer), Some(&json!(stored.reference)), "{pointer} of {text}");
            kept.push(stored.place.clone());
        }
        let get =
            |reference: &_| large.iter().find(|(of, _)| of == reference).map(|(_, payload)| payload.clone());
        assert_eq!(line.filled(get), Ok(event));
    }
    kept
}

/// Every place below the event's own fields.
fn collect(value: &Value, path: &str, paths: &mut Vec<String>) {
    if !["", "/n", "/t", "/type"].contains(&path) {
        paths.push(path.to_owned());
    }
    let step = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| collect(value, &step(key), paths)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| collect(value, &step(&i.to_string()), paths));
        }
        _ => {}
    }
}
