//! What the bucket says of a run: the history object as text, read with boto3, and checked by its documented form only.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Foreign;

/// A run's header and all its events.
#[derive(Clone, Debug)]
pub struct History {
    /// The header line.
    pub header: Value,
    /// The events, in order.
    pub events: Vec<Value>,
}

impl History {
    /// Finds the object by listing, reads it, and the sealed parts that its header names.
    pub fn read(foreign: &Foreign, bucket: &str, namespace: &str, id: &str) -> Option<Self> {
        let is_history = |key: &&String| {
            let parts: Vec<_> = key.split('/').collect();
            matches!(parts[..], [_, "workflow", _, found, "history"] if found == id)
        };
        let keys = foreign.keys(bucket, &format!("{namespace}/workflow/"));
        let key = keys.iter().find(is_history)?;
        let mut lines = lines(&foreign.get(bucket, key)?);
        let header = lines.remove(0);
        let folder = key.trim_end_matches("history");
        let mut events = Vec::new();
        for part in header["parts"].as_array().into_iter().flatten() {
            let (first, last) = (part["first"].as_u64().unwrap(), part["last"].as_u64().unwrap());
            let run = header["run_id"].as_str().unwrap();
            let sealed = foreign.get(bucket, &format!("{folder}{run}/events/{first:012}-{last:012}"));
            let text = zstd::stream::decode_all(&*sealed.expect("a part that the header names is there"));
            events.extend(self::lines(&text.expect("a part is compressed by zstd")));
        }
        events.extend(lines);
        let run = format!("{folder}{}", header["run_id"].as_str().unwrap());
        for event in &mut events {
            let stored = event.get("stored").cloned().unwrap_or_default();
            for place in stored.as_array().into_iter().flatten() {
                let pointer = format!("/{}", place.as_str().unwrap().replace('.', "/"));
                let reference = event.pointer_mut(&pointer).expect("a place that the event names is there");
                let key = format!("{run}/payload/{}", reference["sha256"].as_str().unwrap());
                let object = foreign.get(bucket, &key).expect("a payload that an event names is there");
                *reference = serde_json::from_slice(&object).expect("a payload is JSON");
            }
        }
        Some(Self { header, events })
    }

    /// `running`, `completed`, …
    pub fn status(&self) -> &str {
        self.header["status"].as_str().unwrap_or_default()
    }

    /// The events of one type.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    /// The types of the events, in order.
    pub fn types(&self) -> Vec<&str> {
        self.events.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    /// The result of a run that has completed.
    pub fn result(&self) -> &Value {
        let last = self.events.last().expect("a history has events");
        assert_eq!(last["type"], "RunCompleted", "{}", self.outline());
        &last["result"]
    }

    /// Checks what holds for every history: numbers without gaps, times that never go back, a start first, and every
    /// activity scheduled once and ended at most once.
    pub fn check(&self) {
        for (event, n) in self.events.iter().zip(1_u64..) {
            assert_eq!(event["n"].as_u64(), Some(n), "events are numbered without gaps: {}", self.outline());
        }
        let times: Vec<_> = self.events.iter().filter_map(|event| event["t"].as_str()).collect();
        assert!(times.is_sorted(), "time never goes back: {times:?}");
        assert_eq!(self.types().first(), Some(&"RunStarted"));
        assert_eq!(self.of("RunStarted").len(), 1);
        let mut ends: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for event in &self.events {
            let Some(id) = event["activity_id"].as_u64() else { continue };
            let (scheduled, ended) = ends.entry(id).or_default();
            match event["type"].as_str() {
                Some("ActivityScheduled") => *scheduled += 1,
                Some("ActivityCompleted" | "ActivityFailed") => *ended += 1,
                Some("LocalActivityCompleted" | "LocalActivityFailed") => {
                    (*scheduled, *ended) = (*scheduled + 1, *ended + 1);
                }
                _ => {}
            }
        }
        for (id, (scheduled, ended)) in ends {
            assert!(scheduled == 1 && ended <= 1, "activity {id}: {scheduled} schedules, {ended} ends");
        }
    }

    /// How many activities have completed.
    pub fn completed(&self) -> usize {
        self.of("ActivityCompleted").len()
    }

    /// One line for each event, for a failed test.
    pub fn outline(&self) -> String {
        let mut text = String::new();
        for event in &self.events {
            let line: String = event.to_string().chars().take(200).collect();
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("a history is text");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}
