//! An activity without a workflow of the user's: the input of a start of the built-in type `millrace.activity`.

use millrace_core::{ActivityOptions, Payload, TaskQueue};
use serde::{Deserialize, Serialize};

use super::{BadMessage, typed};

/// The built-in workflow type that runs one activity.
pub const STANDALONE_ACTIVITY: &str = "millrace.activity";

/// The longest name of an activity.
const LONGEST_NAME: usize = 200;

/// `{"activity":"train","task_queue":"gpu","input":{…},"options":{"start_to_close_ms":3600000}}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandaloneActivity {
    /// The activity's name.
    pub activity: String,
    /// Where its task waits; `cpu` if absent.
    #[serde(default = "cpu")]
    pub task_queue: TaskQueue,
    /// Its input; `null` if absent.
    #[serde(default)]
    pub input: Payload,
    /// Time limits and retries, as in a task.
    #[serde(default)]
    pub options: ActivityOptions,
}

#[allow(clippy::expect_used, reason = "a name that is written here")]
fn cpu() -> TaskQueue {
    TaskQueue::new("cpu").expect("a name")
}

/// The fields of a message that [`ActivityOptions`] would pass over.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    options: serde_json::Map<String, serde_json::Value>,
}

/// What the options may have.
const OPTIONS: [&str; 7] = [
    "start_to_close_ms",
    "schedule_to_close_ms",
    "schedule_to_start_ms",
    "heartbeat_ms",
    "retry",
    "exclusive",
    "completes_later",
];

impl StandaloneActivity {
    /// Reads the input of such a start, and checks what a run would only stumble over.
    pub fn read(input: &Payload) -> Result<Self, BadMessage> {
        let bad = |text: String| BadMessage(format!("input: {text}"));
        let asked: Self = typed(input.as_str()).map_err(|error| bad(error.0))?;
        let fields: Asked = typed(input.as_str()).map_err(|error| bad(error.0))?;
        if let Some(unknown) = fields.options.keys().find(|field| !OPTIONS.contains(&field.as_str())) {
            let known = OPTIONS.join(", ");
            return Err(bad(format!("options: `{unknown}` is unknown; use one of {known}")));
        }
        asked.check().map_err(bad)?;
        Ok(asked)
    }

    /// Why it cannot be run.
    pub fn check(&self) -> Result<(), String> {
        let length = self.activity.len();
        if length == 0 || length > LONGEST_NAME {
            return Err(format!("activity: {length} bytes; the activity's name has 1 to {LONGEST_NAME}"));
        }
        let options = &self.options;
        let limits = [
            ("start_to_close_ms", Some(options.start_to_close)),
            ("schedule_to_close_ms", options.schedule_to_close),
            ("schedule_to_start_ms", options.schedule_to_start),
            ("heartbeat_ms", options.heartbeat),
        ];
        match limits.iter().find(|(_, limit)| limit.is_some_and(|limit| limit.as_millis() == 0)) {
            Some((field, _)) => Err(format!("options: {field}: 0 is no time to do anything in")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(json: &str) -> Result<StandaloneActivity, String> {
        StandaloneActivity::read(&Payload::parse(json).unwrap()).map_err(|bad| bad.0)
    }

    #[test]
    fn a_name_is_enough() {
        let asked = read(r#"{"activity":"train"}"#).unwrap();
        assert_eq!((asked.activity.as_str(), asked.task_queue.as_str()), ("train", "cpu"));
        assert!(asked.input.is_null());
        assert_eq!(asked.options, ActivityOptions::default());
    }

    #[test]
    fn what_cannot_be_run_is_told_by_field() {
        for (json, hint) in [
            (r#"{"input":1}"#, "missing field `activity`"),
            (r#"{"activity":""}"#, "activity: 0 bytes"),
            (r#"{"activity":"train","queue":"gpu"}"#, "unknown field `queue`"),
            (r#"{"activity":"train","task_queue":"a b"}"#, "task_queue"),
            (
                r#"{"activity":"train","options":{"start_to_close":5}}"#,
                "options: `start_to_close` is unknown; use one of start_to_close_ms",
            ),
            (r#"{"activity":"train","options":{"start_to_close_ms":0}}"#, "start_to_close_ms: 0 is no time"),
            (r#"{"activity":"train","options":{"retry":{"tries":3}}}"#, "unknown field `tries`"),
            (r#""train""#, "input: "),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with("input: ") && error.contains(hint), "{json}: {error}");
        }
    }

    #[test]
    fn every_option_is_known() {
        let time = Some(Duration::from_secs(1));
        let all = ActivityOptions {
            schedule_to_close: time,
            schedule_to_start: time,
            heartbeat: time,
            exclusive: true,
            completes_later: true,
            ..ActivityOptions::default()
        };
        let all = serde_json::to_value(&all).unwrap();
        let mut fields: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = OPTIONS.to_vec();
        fields.sort_unstable();
        known.sort_unstable();
        assert_eq!(fields, known);
    }
}
