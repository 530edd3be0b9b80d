//! Names, ids, tokens, times, and the keys that are made of them.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use millrace_core::{
    CompletionToken, Identity, Namespace, RequestId, RunId, TaskQueue, Timestamp, WorkflowId, WorkflowType,
};
use millrace_format::Keys;

use super::refused;
use super::world::run_id;
use crate::{Memory, Target};

/// Names.
pub const TARGET: Target =
    Target { name: "names", seeds: &[], read, memory: Memory { times: 24, plus: 64_000 }, slice: 6_000 };

fn read(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    let names = [
        one::<WorkflowType>(text),
        one::<RequestId>(text),
        one::<Namespace>(text),
        one::<TaskQueue>(text),
        one::<RunId>(text),
        one::<Identity>(text),
        one::<CompletionToken>(text),
    ];
    keys(text);
    format!("{} {} {}", names.join(" "), id(text), time(text))
}

fn one<T: FromStr + Display + Debug + PartialEq>(text: &str) -> String
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(name) => {
            let again = name.to_string().parse::<T>().map_err(|error| error.to_string());
            assert_eq!(again.as_ref(), Ok(&name), "written and read again");
            "yes".to_owned()
        }
        Err(error) => refused(error),
    }
}

/// An id is found again in the keys that it makes, and makes none outside of its folder.
fn id(text: &str) -> String {
    let Ok(id) = text.parse::<WorkflowId>() else { return "no id".to_owned() };
    let keys = Keys::new(Namespace::default());
    let run = run_id(1);
    for key in [keys.history(&id), keys.archive(&id, run), keys.lease(&id, run, u64::MAX)] {
        let parts: Vec<&str> = key.split('/').collect();
        assert!(parts.starts_with(&["default", "workflow"]) && parts.len() >= 5, "{key}");
        assert!(parts.iter().all(|part| !part.is_empty() && *part != "." && *part != ".."), "{key}");
        assert!(key.len() <= 1_024, "{key}");
    }
    for at in [Timestamp::default(), Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX)] {
        let key = keys.index_open(at, &id, run);
        assert_eq!(keys.index_run(&key), Some((id.clone(), run)), "{key}");
    }
    "an id".to_owned()
}

fn time(text: &str) -> String {
    let Ok(time) = text.parse::<Timestamp>() else { return "no time".to_owned() };
    let again: Timestamp = time.to_string().parse().expect("a time that was read can be written");
    assert_eq!(again, time, "written and read again");
    let (keys, id) = (Keys::new(Namespace::default()), "w".parse::<WorkflowId>().expect("a good id"));
    let key = keys.timer(time, &id, run_id(1), "t1");
    let due = keys.timer_due_s(&key);
    assert!(time.as_millis() < 0 || due == Some(time.as_millis().div_euclid(1_000)), "{key}: {due:?}");
    let key = keys.index_closed(time, &id, run_id(1));
    assert_eq!(keys.index_run(&key), Some((id, run_id(1))), "{key}");
    "a time".to_owned()
}

/// Keys as a listing gives them: anybody who writes the bucket may have made one up.
fn keys(text: &str) {
    let keys = Keys::new(Namespace::default());
    for key in [text.to_owned(), format!("{}{text}", keys.timers()), format!("{}{text}", keys.index(true, 0))]
    {
        let _ = keys.timer_due_s(&key);
        let _ = keys.index_run(&key);
    }
}
