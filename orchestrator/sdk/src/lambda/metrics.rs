//! Metrics, as log lines in CloudWatch's embedded metric format: no request, no agent.
//!
//! Trouble is told at once. Everything else is summed up and told at most once a minute by each execution environment: a
//! line for each invocation would cost more than the invocation.
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_core::Timestamp;
use millrace_engine::Stats;
use millrace_engine::ports::{CallCounts, Clock};
use serde::Serialize;
use serde_json::{Value, json};

const NAMESPACE: &str = "Millrace";
const EVERY: Duration = Duration::from_secs(60);
/// What somebody should hear of without delay.
const TROUBLE: [&str; 3] = ["RunsBlocked", "DeadLettered", "TurnsFailed"];

type Numbers = BTreeMap<String, u64>;

/// What an execution environment has told so far.
pub(super) struct Metrics {
    stack: String,
    clock: Arc<dyn Clock>,
    told: Mutex<(Timestamp, Numbers)>,
}

impl Metrics {
    /// Metrics of one deployment, told apart from others by its prefix.
    pub(super) fn new(stack: &str, clock: Arc<dyn Clock>) -> Self {
        let told = Mutex::new((clock.now(), Numbers::new()));
        Self { stack: stack.to_owned(), clock, told }
    }

    /// After an invocation: prints a line if it is time.
    pub(super) fn after(&self, stats: &Stats, calls: &CallCounts) {
        let (now, mut totals) = (self.clock.now(), numbers(stats));
        totals.extend(numbers(calls));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let news = since(&totals, &told.1);
        let trouble = TROUBLE.iter().any(|name| news.contains_key(*name));
        if !news.is_empty() && (trouble || now - told.0 >= EVERY) {
            *told = (now, totals);
            println!("{}", line(&self.stack, now, &news));
        }
    }
}

/// The counters of a struct, by their names as CloudWatch shows them: `runs_blocked` is `RunsBlocked`.
fn numbers(counters: &impl Serialize) -> Numbers {
    let Ok(Value::Object(fields)) = serde_json::to_value(counters) else { return Numbers::new() };
    let named = |(name, value): (String, Value)| Some((pascal(&name), value.as_u64()?));
    fields.into_iter().filter_map(named).collect()
}

fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.split('_').map(capital).collect()
}

/// What has grown.
fn since(totals: &Numbers, told: &Numbers) -> Numbers {
    let grown = |(name, total): (&String, &u64)| {
        let news = total - told.get(name).copied().unwrap_or_default().min(*total);
        (news > 0).then(|| (name.clone(), news))
    };
    totals.iter().filter_map(grown).collect()
}

fn line(stack: &str, now: Timestamp, news: &Numbers) -> Value {
    let metrics: Vec<_> = news.keys().map(|name| json!({ "Name": name, "Unit": "Count" })).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": metrics });
    let mut line = json!({
        "_aws": { "Timestamp": now.as_millis(), "CloudWatchMetrics": [directive] },
        "Stack": stack,
    });
    for (name, value) in news {
        line[name] = json!(value);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(pairs: &[(&str, u64)]) -> Numbers {
        pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    }

    #[test]
    fn counters_are_named_and_subtracted() {
        let calls = CallCounts { puts_failed: 3, ..CallCounts::default() };
        assert_eq!(numbers(&calls)["PutsFailed"], 3);
        let news = since(&some(&[("Puts", 5), ("Gets", 1)]), &some(&[("Puts", 2), ("Gets", 1)]));
        assert_eq!(news, some(&[("Puts", 3)]));
    }

    #[test]
    fn a_line_is_an_embedded_metric() {
        let line = line("shop", Timestamp::from_millis(7), &some(&[("RunsBlocked", 1)]));
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], "RunsBlocked");
        assert_eq!((&line["RunsBlocked"], &line["Stack"]), (&json!(1), &json!("shop")));
    }
}
