//! What was measured, as a table for people and as JSON for scripts.

use comfy_table::{Cell, CellAlignment, Table, presets::ASCII_MARKDOWN};
use millrace_engine::ports::CallCounts;
use serde::Serialize;
use serde_json::{Value, json};

use crate::measure::Percentiles;

/// Calls of the engine to the object store and the queues, for each step.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Calls {
    /// Objects written.
    pub(crate) puts: f64,
    /// Objects read.
    pub(crate) gets: f64,
    /// Calls that sent messages (a call carries a batch).
    pub(crate) sends: f64,
    /// Calls that received messages.
    pub(crate) receives: f64,
    /// Calls that deleted messages.
    pub(crate) deletes: f64,
}

impl Calls {
    /// Total calls over steps.
    pub(crate) fn per_step(counts: CallCounts, steps: u64) -> Self {
        let each = |calls: u64| calls as f64 / steps as f64;
        Self {
            puts: each(counts.puts),
            gets: each(counts.gets),
            sends: each(counts.sends),
            receives: each(counts.receives),
            deletes: each(counts.queue_deletes),
        }
    }
}

/// One workload's figures.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The workload.
    pub(crate) name: &'static str,
    /// What `sample` is in.
    pub(crate) unit: &'static str,
    /// Activity steps, or signals, in all.
    pub(crate) steps: u64,
    /// The workload's own figure.
    pub(crate) sample: Percentiles,
    /// Steps in a second of wall time.
    pub(crate) steps_per_s: f64,
    /// CPU seconds, user and system, for a thousand steps.
    pub(crate) cpu_s_per_1000: f64,
    /// The bill.
    pub(crate) calls: Calls,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// A row for each workload.
    pub(crate) rows: Vec<Row>,
    /// The last hundred steps of a long run against its first.
    pub(crate) tail_ratio: f64,
    /// The most memory at once.
    pub(crate) peak_rss_mib: f64,
}

impl Report {
    /// The table of the README.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header([
            "workload",
            "p50",
            "p99",
            "unit",
            "steps/s",
            "CPU s / 1,000",
            "PUT",
            "GET",
            "send",
            "receive",
            "delete",
        ]);
        for row in &self.rows {
            let calls = &row.calls;
            let numbers = [calls.puts, calls.gets, calls.sends, calls.receives, calls.deletes];
            let mut cells = vec![
                row.name.to_owned(),
                figure(row.sample.p50),
                figure(row.sample.p99),
                row.unit.to_owned(),
                format!("{:.0}", row.steps_per_s),
                figure(row.cpu_s_per_1000),
            ];
            cells.extend(numbers.map(|n| format!("{n:.2}")));
            table.add_row(cells.into_iter().map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
        }
        let (tail, memory) = (self.tail_ratio, self.peak_rss_mib);
        format!(
            "{table}\n\nlong_run: last 100 steps / first 100 steps = {tail:.2}\npeak memory: {memory:.0} MiB\n"
        )
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> Value {
        let mut all = serde_json::Map::new();
        for row in &self.rows {
            let mut own = json!({
                "steps": row.steps,
                "steps_per_s": row.steps_per_s,
                "cpu_s_per_1000_steps": row.cpu_s_per_1000,
                "calls_per_step": row.calls,
            });
            let (p50, p99) = (row.sample.p50, row.sample.p99);
            match row.name {
                "chain" => (own["step_ms_p50"], own["step_ms_p99"]) = (json!(p50), json!(p99)),
                "parallel_runs" => (own["run_ms_p50"], own["run_ms_p99"]) = (json!(p50), json!(p99)),
                "fan_out" => (own["wall_s"], own["wall_s_p99"]) = (json!(p50), json!(p99)),
                "long_run" => {
                    (own["step_ms_p50"], own["step_ms_p99"]) = (json!(p50), json!(p99));
                    own["tail_ratio"] = json!(self.tail_ratio);
                }
                _ => own["per_s"] = json!(p50),
            }
            all.insert(row.name.to_owned(), own);
        }
        all.insert("peak_rss_mib".into(), json!(self.peak_rss_mib));
        Value::Object(all)
    }
}

fn figure(n: f64) -> String {
    if n >= 100.0 { format!("{n:.0}") } else { format!("{n:.3}") }
}
