//! What is typed after the program's name.

mod batch;
mod dead_letters;
mod filters;
mod operate;
mod schedules;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use millrace_core::{IdConflict, IdReuse, Namespace, RequestId, RunId, TaskQueue, WorkflowId, WorkflowType};

use crate::dev::{Options, Retention};
use crate::hooks::Hooks;
pub(super) use batch::{BatchArgs, BatchVerb};
pub(super) use dead_letters::{DeadLettersArgs, DeadLettersListArgs, DeadLettersVerb};
pub(super) use filters::FilterArgs;
pub(super) use operate::{ForkArgs, HeldArgs, PauseArgs, ResetArgs, RetryArgs};
pub(super) use schedules::{ScheduleCreateArgs, ScheduleListArgs, ScheduleVerb};

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  the engine or its storage did not
  2  the command line is wrong
  3  the run failed, timed out, was canceled or terminated
  4  the run is blocked: its code cannot go on; a replay goes another way
  5  there is no such workflow, run or data folder
  6  the request was rejected, an update was refused
  7  the time given with --timeout is up, and the run goes on";

/// Durable workflows: start them, watch them, stop them.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Place {
    /// The data folder
    #[arg(long, global = true, env = "MILLRACE_DATA", default_value = Options::DATA, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Whose workflows
    #[arg(long, global = true, env = "MILLRACE_NAMESPACE", default_value = "default")]
    pub(super) namespace: Namespace,
    /// The bucket of a deployment on AWS, instead of a data folder
    #[cfg(feature = "aws")]
    #[arg(long, global = true, env = "MILLRACE_BUCKET")]
    pub(super) bucket: Option<String>,
    /// What the names of the deployment's queues begin with
    #[cfg(feature = "aws")]
    #[arg(long, global = true, env = "MILLRACE_QUEUE_PREFIX", value_name = "PREFIX")]
    pub(super) queue_prefix: Option<String>,
    /// What the program's own clients do with payloads and starts.
    #[arg(skip)]
    pub(super) hooks: Hooks,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the engine, the workflows and the activities in this process, until Ctrl-C
    Dev(DevArgs),
    /// Start a workflow
    Start(StartArgs),
    /// Run one activity, without a workflow; `result` waits for what it gives
    Activity(ActivityArgs),
    /// Tell a workflow something
    Signal(SignalArgs),
    /// Ask a workflow for a change, and print its answer
    Update(UpdateArgs),
    /// Ask a workflow something that changes nothing, and print its answer
    Query(QueryArgs),
    /// Ask a run to stop; its code decides how
    Cancel(StopArgs),
    /// End a run by force
    Terminate(StopArgs),
    /// Try a blocked run again now
    Resume(TargetArgs),
    /// Hold back a run's code: what the run is told waits; or one of its activities: no attempt follows the one under way
    Pause(PauseArgs),
    /// Go on with what was held back
    Unpause(HeldArgs),
    /// Make the attempt that an activity waits for now
    Retry(RetryArgs),
    /// Replace a run by one that begins with its first events; an open run is terminated
    Reset(ResetArgs),
    /// Begin another workflow with the first events of a run, which is left alone
    Fork(ForkArgs),
    /// Wait for a run's result and print it
    Result(ResultArgs),
    /// Print a run's history as a timeline
    Show(TargetArgs),
    /// List runs, newest first
    List(ListArgs),
    /// Ask the same of every open run that a filter finds
    #[command(subcommand)]
    Batch(BatchVerb),
    /// Look at messages that nobody could do anything with, send them again, throw them away
    #[command(subcommand)]
    DeadLetters(DeadLettersVerb),
    /// Print a run's whole history, for a file that `replay` reads
    Export(ExportArgs),
    /// Replay histories with this program's code: could their runs go on with it?
    Replay(ReplayArgs),
    /// Start a workflow again and again, by a cron expression or at an interval
    #[command(subcommand)]
    Schedule(ScheduleVerb),
}

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// The port of the HTTP API on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// How many activity attempts run at a time, for each task queue
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(super) slots: usize,
    /// How long closed runs are kept, such as 30d, at least 14d; for ever if not said
    #[arg(long, env = "MILLRACE_RETENTION", value_name = "DAYS")]
    pub(super) retention: Option<Retention>,
    /// How many attempts of an activity run at a time, such as train=1,resize=8
    #[arg(
        long,
        env = "MILLRACE_LIMITS",
        default_value = "",
        hide_default_value = true,
        value_name = "NAME=N,…"
    )]
    pub(super) limits: String,
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The workflow id
    pub(super) id: WorkflowId,
    /// An earlier run of it, instead of the current one
    #[arg(long, value_name = "RUN")]
    pub(super) run_id: Option<RunId>,
}

#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What every start says.
#[derive(Debug, Args)]
pub(super) struct Begin {
    /// The id: at most one run of it is open at a time
    #[arg(long)]
    pub(super) id: WorkflowId,
    /// The input: JSON, @file, or - for standard input
    #[arg(long, default_value = "null", value_name = "JSON")]
    pub(super) input: String,
    /// If a run of this id is open: fail, use_existing or terminate_existing
    #[arg(long, value_parser = word::<IdConflict>, default_value = "fail", value_name = "WHAT")]
    pub(super) id_conflict: IdConflict,
    /// If the id was used: allow_duplicate, allow_duplicate_failed_only or reject_duplicate
    #[arg(long, value_parser = word::<IdReuse>, default_value = "allow_duplicate", value_name = "WHAT")]
    pub(super) id_reuse: IdReuse,
}

/// What a workflow is told or asked.
#[derive(Debug, Args)]
pub(super) struct Said {
    /// The name that the workflow knows it by
    pub(super) name: String,
    /// What it carries: JSON, @file, or - for standard input
    #[arg(long, default_value = "null", value_name = "JSON")]
    pub(super) input: String,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The workflow's type, as registered
    pub(super) workflow: WorkflowType,
    #[command(flatten)]
    pub(super) begin: Begin,
    /// How long the code waits before it begins, such as 90s, 15m, 2h or 7d
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) delay: Option<Duration>,
    /// How long the workflow may take, the runs that it continues as included
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) execution_timeout: Option<Duration>,
    /// How long each run may take
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) run_timeout: Option<Duration>,
    /// Notes for people: JSON, @file, or - for standard input
    #[arg(long, value_name = "JSON")]
    pub(super) memo: Option<String>,
    /// A value to find the run by; may be given more than once. What is not JSON is a text
    #[arg(long = "attribute", value_parser = attribute, value_name = "NAME=VALUE")]
    pub(super) attributes: Vec<(String, serde_json::Value)>,
    /// A short text that is handed on to children and activities; may be given more than once
    #[arg(long = "header", value_parser = header, value_name = "NAME=VALUE")]
    pub(super) headers: Vec<(String, String)>,
    /// Makes the start count once, however often it is sent
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Option<RequestId>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ActivityArgs {
    /// The activity's name
    pub(super) activity: String,
    #[command(flatten)]
    pub(super) begin: Begin,
    /// Where its task waits
    #[arg(long, default_value = "cpu", value_name = "QUEUE")]
    pub(super) task_queue: TaskQueue,
    /// How long one attempt may run, such as 90s, 15m, 2h or 7d; 10m if not said
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) start_to_close: Option<Duration>,
    /// How long all attempts may take together, waits included
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) schedule_to_close: Option<Duration>,
    /// How long the task may wait for a worker
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) schedule_to_start: Option<Duration>,
    /// The longest silence between two heartbeats
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) heartbeat: Option<Duration>,
    /// How many attempts there are at most; 0 for no limit
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) max_attempts: u32,
    /// Makes the start count once, however often it is sent
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Option<RequestId>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SignalArgs {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) said: Said,
    /// Makes the signal count once, however often it is sent
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Option<RequestId>,
    /// The request id of the signal that comes before this one: it waits for that
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<RequestId>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) said: Said,
    /// Makes the update count once, however often it is sent; sent again, it prints the same answer
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Option<RequestId>,
    /// How long to wait for the answer, such as 90s, 15m, 2h; by default as long as it takes
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) timeout: Option<Duration>,
    /// Print a JSON object with the request's id, the run's, and the answer
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) said: Said,
    /// Print a JSON object with the answer
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Who wants that, and why
    #[arg(long, default_value = "")]
    pub(super) reason: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResultArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// How long to wait, such as 90s, 15m, 2h; by default as long as it takes
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) timeout: Option<Duration>,
    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(super) limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Files that `export` wrote; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "id")]
    pub(super) files: Vec<PathBuf>,
    /// Replay the current run of this workflow id, where it is
    #[arg(long, conflicts_with = "files", value_name = "ID")]
    pub(super) id: Option<WorkflowId>,
    /// An earlier run of it
    #[arg(long, requires = "id", value_name = "RUN")]
    pub(super) run_id: Option<RunId>,
    /// Print one JSON object a run
    #[arg(long)]
    pub(super) json: bool,
}

/// One of the words that a value has in JSON.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = serde_json::Value::String(text.to_owned());
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// `customer=ann`, `priority=3`
fn attribute(text: &str) -> Result<(String, serde_json::Value), String> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(format!("`{text}` is not NAME=VALUE"));
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// `traceparent=00-…`
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `90s`, `15m`, `2h`, `7d`, `500ms`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 90s, 15m, 2h or 7d");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}
