//! Time limits, starts that find a run of their id, children that are stopped in every way, schedules of every kind, and
//! letters that come too early: what is decided about a run from outside its code.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace::client::Status;
use millrace::prelude::*;
use millrace::{App, OnCancel, ParentClose, Workflow, WorkflowFailure};
use millrace_core::{Event, EventKind, RunId, Timestamp, WorkflowId};
use millrace_engine::ports::Clock;
use millrace_format::Header;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clerk;
use crate::family::{Add, FailsWorkflow, GreetWorkflow, PatienceWorkflow, fails, greet, patience, tidy};
use crate::workflows::{Note, Probe, Time, square};
use crate::{Cast, Outside, trials};

/// What [`office`] returns: how each of its children ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is one feature's result")]
pub struct Office {
    pub late: String,
    pub too_long: String,
    pub asked: String,
    pub forced: String,
    pub told: String,
}

/// Has children that are stopped: by time, by their handles, by whoever knows their id, by its own end.
#[workflow]
pub async fn office(ctx: WorkflowContext) -> Result<Office, WorkflowError> {
    let me = ctx.workflow_id().to_string();
    let late = ctx.child(patience, ()).run_timeout(minutes(10));
    let too_long = ctx.child(roundabout, 0).execution_timeout(minutes(25)).run_timeout(hours(1));
    let (late, too_long) = join!(late, too_long);

    let (asked, forced) = (ctx.child(tidy, ()).start(), ctx.child(patience, ()).start());
    let stranger = format!("{me}-stranger");
    let told = ctx.child(tidy, ()).id(&stranger).start();
    ctx.sleep(minutes(3)).await?;
    asked.cancel("enough");
    forced.terminate("at once");
    ctx.request_cancel(&stranger, "from afar").await?;
    let (asked, forced, told) = join!(asked.result(), forced.result(), told.result());

    // What came first, the work or the end of the budget, is for the faults to say.
    let paid = ctx.scope();
    let budget = async {
        ctx.sleep(minutes(2)).await?;
        paid.cancel("the budget is spent");
        Ok::<_, WorkflowError>(())
    };
    let (_, _, _, spent) = join!(
        paid.activity(lingers, ()).on_cancel(OnCancel::Try),
        paid.activity(lingers, ()).on_cancel(OnCancel::Wait),
        paid.activity(lingers, ()).on_cancel(OnCancel::Abandon),
        budget,
    );
    spent?;

    // The second is asked to stop with the commit that starts it.
    let leave =
        |whom: &str| ctx.child(tidy, ()).id(format!("{me}-{whom}")).parent_close(ParentClose::Cancel).start();
    leave("left");
    ctx.sleep(minutes(1)).await?;
    leave("left-at-once");
    Ok(Office {
        late: fate(late),
        too_long: fate(too_long),
        asked: fate(asked),
        forced: fate(forced),
        told: fate(told),
    })
}

fn fate<T>(end: Result<T, WorkflowFailure>) -> String {
    end.map_or_else(|failure| failure.fault.to_string(), |_| "it went on".into())
}

/// Beats, and stops if it is asked to.
#[activity(task_queue = "gpu", start_to_close = "1h", heartbeat = "1m")]
async fn lingers(ctx: ActivityContext, time: Shared<Time>) -> Result<(), ActivityError> {
    for beat in 0..20_u64 {
        time.pass(secs(20)).await;
        ctx.heartbeat(&beat)?;
    }
    Ok(())
}

/// Goes on as new for ever.
#[workflow]
pub async fn roundabout(ctx: WorkflowContext, round: u64) -> Result<u64, WorkflowError> {
    ctx.sleep(minutes(8)).await?;
    ctx.continue_as_new(roundabout, round + 1)
}

/// Waits for the notes one to three: each may have begun it.
#[workflow(accepts(Note))]
pub async fn collector(ctx: WorkflowContext) -> Result<Vec<u64>, WorkflowError> {
    let heard = ctx.state(Vec::new()).on_signal(|heard, Note { n }| {
        heard.push(n);
        heard.sort_unstable();
    });
    heard.until(|heard| heard.len() == 3).await?;
    Ok(heard.get())
}

/// How much is in the till.
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = u64)]
pub struct Total;

/// What is in the till when it is counted.
pub const FULL: u64 = 60;

/// Takes money until there is enough: whoever brings some may have begun it.
#[workflow(accepts(Add, Total))]
pub async fn till(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    let total = ctx
        .state(0)
        .on_update(|total, Add { n }| {
            *total += n;
            Ok(*total)
        })
        .on_query(|total, Total| *total);
    total.until(|total| *total == FULL).await?;
    ctx.sleep(minutes(5)).await?;
    Ok(total.get())
}

/// Ends with the first note.
#[workflow(accepts(Note))]
pub async fn addressee(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    Ok(ctx.signals::<Note>().recv().await?.n)
}

/// The schedules: what happens when the action before still runs, which takes most of three times.
const SCHEDULES: [&str; 4] = ["skip", "buffer_one", "cancel_other", "terminate_other"];
/// How often each of them starts something, whatever it is told in between.
const ACTIONS: u64 = 3;

fn schedule(overlap: &str) -> Value {
    let mut schedule = json!({"every_s": 900, "workflow": GreetWorkflow::NAME, "input": ["ann", 2_000], "overlap": overlap, "remaining": ACTIONS, "jitter_s": 30});
    if overlap == "skip" {
        schedule["every_s"].take();
        schedule["cron"] = json!("*/15 * * * *");
        schedule["time_zone"] = json!("Europe/Berlin");
    }
    json!({ "schedule": schedule })
}

fn id_of(overlap: &str) -> String {
    format!("often-{overlap}")
}

fn update(id: &str, name: &str, key: &str, input: Value) -> Value {
    json!({"type": "update", "id": id, "name": name, "input": input, "request_id": format!("{name}-{key}-{id}")})
}

fn start(workflow: &str, id: &str, key: &str) -> Value {
    json!({"type": "start", "workflow": workflow, "id": id, "request_id": format!("start-{key}-{id}")})
}

fn with(mut message: Value, more: Value) -> Value {
    if let (Some(message), Value::Object(more)) = (message.as_object_mut(), more) {
        message.extend(more);
    }
    message
}

/// This workflow's current run; `None` if there is none, or nobody can say.
async fn header(outside: &Outside, id: &str) -> Option<Header> {
    let id: WorkflowId = id.parse().ok()?;
    Some(outside.client.head(&id, None).await.ok()?.header)
}

async fn run_of(outside: &Outside, id: &str) -> Option<RunId> {
    Some(header(outside, id).await?.run_id)
}

async fn status(outside: &Outside, id: &str) -> Option<Status> {
    Some(header(outside, id).await?.status)
}

async fn until(outside: &Outside, id: &str, is_so: fn(Status) -> bool) {
    while !status(outside, id).await.is_some_and(is_so) {
        outside.pause(30).await;
    }
}

/// Tells something that is not there yet: a minute later it is a dead letter.
async fn is_too_early(outside: Outside) {
    outside.send(&clerk::too_early()).await;
}

/// Starts what may take the place of a run that is open, or has failed; and what may not.
async fn replaces(outside: Outside) {
    let greets = |id, key, conflict: &str, reuse: &str| {
        let how = json!({"input": ["bob", 20], "id_conflict": conflict, "id_reuse": reuse});
        with(start(GreetWorkflow::NAME, id, key), how)
    };
    until(&outside, "replaced-1", Status::is_open).await;
    let second = greets("replaced-1", "second", "terminate_existing", "allow_duplicate");
    outside.send(&second).await;
    outside.send(&second).await;
    until(&outside, "again-1", |status| status == Status::Failed).await;
    let again = greets("again-1", "second", "fail", "allow_duplicate_failed_only");
    outside.send(&again).await;
    outside.send(&again).await;
    until(&outside, "again-1", |status| status == Status::Completed).await;
    // It has completed, so this one is a dead letter.
    outside.send(&greets("again-1", "third", "fail", "allow_duplicate_failed_only")).await;
}

/// Pauses a schedule, has it start something all the same and make up for what was before; then lets it go on.
async fn interferes(outside: Outside, overlap: &'static str) {
    let id = id_of(overlap);
    until(&outside, &id, |_| true).await;
    outside.pause((outside.entropy.bits() % 4_000) as u64).await;
    let hours_ago = |hours| Timestamp::from_millis(outside.clock.now().as_millis() - hours * 3_600_000_i64);
    let (from, to) = (hours_ago(3), hours_ago(2));
    outside.send(&update(&id, "pause", "1", json!({"note": "inventory"}))).await;
    if let Some(run_id) = run_of(&outside, &id).await {
        let trigger = update(&id, "trigger", "1", json!({"overlap": "allow_all"}));
        outside.send(&with(trigger, json!({ "run_id": run_id }))).await;
    }
    outside.send(&update(&id, "backfill", "1", json!({"from": from, "to": to}))).await;
    outside.pause(1_000).await;
    // A pause that is on its way still holds back what was let go on before it came.
    for k in 0_u64.. {
        outside.send(&update(&id, "unpause", &k.to_string(), json!({}))).await;
        outside.pause(60).await;
        if goes_on(&outside, &id).await {
            return;
        }
    }
}

/// Whether the schedule has been paused, and is no more.
async fn goes_on(outside: &Outside, id: &str) -> bool {
    let Ok(workflow_id) = id.parse::<WorkflowId>() else { return false };
    let Ok((head, events)) = outside.client.history(&workflow_id, None).await else { return false };
    let published = head.header.published.as_ref().and_then(|state| state.read::<Value>().ok());
    let is_paused = published.is_none_or(|state| state["paused"] != json!(false));
    let pause = format!("pause-1-{id}");
    let was_paused = events
        .iter()
        .any(|event| matches!(&event.kind, EventKind::UpdateCompleted(e) if e.request_id.as_str() == pause));
    !head.header.status.is_open() || (was_paused && !is_paused)
}

fn outsiders(outside: Outside) -> Vec<BoxFuture<'static, ()>> {
    let interfere = SCHEDULES.map(|overlap| interferes(outside.clone(), overlap).boxed());
    let more = [is_too_early(outside.clone()).boxed(), replaces(outside).boxed()];
    more.into_iter().chain(interfere).collect()
}

/// A schedule starts as much as it is to, and nothing twice.
fn examine(events: &[Event]) -> Option<String> {
    let is_schedule = |event: &Event| matches!(&event.kind, EventKind::RunStarted(e) if e.workflow.as_str() == "millrace.schedule");
    if !events.first().is_some_and(is_schedule) {
        return None;
    }
    let mut started: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::ChildScheduled(e) => Some(e.workflow_id.as_str()),
            _ => None,
        })
        .collect();
    let count = started.len();
    started.sort_unstable();
    started.dedup();
    (started.len() < count)
        .then(|| format!("the schedule has made a time twice: {count} starts, {started:?}"))
}

fn requests() -> Vec<(u64, Value)> {
    let existing = json!({"id_conflict": "use_existing", "id_reuse": "reject_duplicate"});
    let joined = |workflow, id, key: u64, what: &str, name: &str, n: u64| {
        let start = with(start(workflow, id, &key.to_string()), existing.clone());
        with(start, json!({ what: {"name": name, "input": {"n": n}} }))
    };
    let mut requests = vec![
        (0, start(OfficeWorkflow::NAME, "office-1", "1")),
        (0, with(start(PatienceWorkflow::NAME, "limit-1", "1"), json!({"run_timeout_s": 3_600}))),
        (0, start(PatienceWorkflow::NAME, "replaced-1", "first")),
        (0, start(FailsWorkflow::NAME, "again-1", "first")),
        (0, start(PatienceWorkflow::NAME, "ended-1", "1")),
        (
            600,
            json!({"type": "terminate", "id": "ended-1", "reason": "it burns", "request_id": "terminate-1"}),
        ),
    ];
    for n in 1..=3 {
        requests.push((n * 200, joined(CollectorWorkflow::NAME, "collector-1", n, "signal", "note", n)));
        requests.push((n * 300, joined(TillWorkflow::NAME, clerk::TILL, n, "update", "add", n * 10)));
    }
    let schedules = SCHEDULES.map(|overlap| {
        (2, with(start("millrace.schedule", &id_of(overlap), "1"), json!({"input": schedule(overlap)})))
    });
    requests.into_iter().chain(schedules).chain(trials::requests()).collect()
}

/// Everything that is done here.
pub fn app(clock: Arc<dyn Clock>, probe: Arc<Probe>) -> App {
    trials::app(App::new())
        .share(Time(clock))
        .share(probe)
        .workflow(office)
        .workflow(roundabout)
        .workflow(collector)
        .workflow(till)
        .workflow(addressee)
        .workflow(patience)
        .workflow(tidy)
        .workflow(fails)
        .workflow(greet)
        .activity(square)
        .activity(lingers)
}

/// The world of the office.
pub fn cast() -> Cast {
    let ids = [
        "office-1",
        "office-1-stranger",
        "office-1-left",
        "office-1-left-at-once",
        "limit-1",
        "replaced-1",
        "again-1",
        "ended-1",
        "collector-1",
    ];
    let ids = ids.into_iter().chain(clerk::IDS).chain(trials::IDS).map(str::to_owned);
    Cast {
        app,
        ids: ids.chain(SCHEDULES.map(id_of)).collect(),
        requests: requests(),
        outsiders,
        staff: clerk::works,
        replaced: |id, status| {
            [("replaced-1", Status::Terminated), ("again-1", Status::Failed)].contains(&(id, status))
        },
        // Schedules tell of times, which no two worlds have in common.
        any_result: |id| id.starts_with("often-"),
        examine,
        ..Cast::default()
    }
}
