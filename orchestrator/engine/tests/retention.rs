//! Closed runs are removed when their time is over, and nothing else ever is (G2, G5, G10): crashes halfway, readers at that
//! moment, starts that use the id again at that moment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_conformance::Process;
use millrace_core::{RunId, Status};
use millrace_engine::ports::{
    Condition, Counting, DeleteError, ETag, ObjectStore, Ports, PutError, QueueName, Queues, StoreError,
    Stored,
};
use millrace_engine::{ClientError, ListFilter, LoadError, PurgeReport};
use serde_json::{Value, json};
use stage::{DAY, Gate, HOUR, MINUTE, SECOND, Stage, keys, payload};

/// How long closed runs are kept here: a day of waiting workers costs a test less than a month of it.
const KEPT: Duration = DAY;

/// A store that answers so many calls, and then none: what a process that dies there has done.
struct Dies {
    store: Arc<dyn ObjectStore>,
    left: AtomicUsize,
    counts: fn(&str) -> bool,
}

impl Dies {
    /// After `left` calls of the kinds that count.
    fn after(left: usize, counts: fn(&str) -> bool) -> impl FnOnce(Ports) -> Ports {
        move |ports| {
            let dies = Self { store: ports.store.clone(), left: AtomicUsize::new(left), counts };
            Ports { store: Arc::new(dies), ..ports }
        }
    }

    fn call(&self, call: &str) -> Result<(), StoreError> {
        let gone = || StoreError::Unavailable("the process is gone".into());
        if !(self.counts)(call) {
            return Ok(());
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| gone())
    }
}

#[async_trait]
impl ObjectStore for Dies {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.call("get")?;
        self.store.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.call("put")?;
        self.store.put(key, body, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.call("delete")?;
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.call("delete_if")?;
        self.store.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.call("list")?;
        self.store.list(prefix, after, before, limit).await
    }
}

/// A closed run with everything that a run may have: a lease, two sealed parts, a payload. Returns its id. No engine is
/// left: days in which nobody polls pass at once.
fn closed(stage: &Stage, id: &str) -> RunId {
    let orchestrator = stage.orchestrator("first");
    stage.activity("step", |_, _| async { Ok(payload(json!("done"))) });
    stage.start(id, json!({"activity": "step", "options": {"exclusive": true}, "n": 2}));
    stage.pass(MINUTE);
    for n in 0..6 {
        let input = "x".repeat(40_000); // Two of them seal a part; a larger one would be an object of its own.
        stage.send(json!({"type": "signal", "id": id, "name": "note", "input": input, "request_id": format!("{id}-{n}")}));
        stage.pass(SECOND);
    }
    let worker = stage.worker("w");
    assert_eq!(stage.result(id, HOUR), json!("done"));
    worker.process.kill();
    let (head, _) = stage.history(id);
    assert!(head.header.parts.len() >= 2, "{:?}", head.header.parts);
    let run_id = head.header.run_id;
    let store = stage.memory.clone();
    let key = format!("{}payload/0123", keys().run(&id.parse().unwrap(), run_id));
    stage.block_on(async move { store.put(&key, Bytes::from("large"), Condition::Always).await }).unwrap();
    stage.comes_to_rest(HOUR);
    orchestrator.kill();
    run_id
}

/// The id is used again, by an engine that stays.
fn again(stage: &Stage, id: &str, n: u32) -> Process {
    let orchestrator = stage.orchestrator("second");
    stage.send(json!({"type": "start", "workflow": "script", "id": id, "request_id": format!("again-{n}")}));
    stage.pass(MINUTE);
    orchestrator
}

/// What a reader gets of a run: all of it, or nothing.
fn whole(stage: &Stage, id: &str, run: Option<RunId>) -> bool {
    let (client, id) = (stage.client(), id.parse().unwrap());
    match stage.block_on(async move { client.history(&id, run).await }) {
        Ok(_) => true,
        Err(ClientError::NotFound(_)) => false,
        Err(torn) => panic!("{torn}"),
    }
}

fn listed(stage: &Stage) -> Vec<(String, Status)> {
    let client = stage.client();
    let filter = ListFilter { limit: 100, ..ListFilter::default() };
    let listed = stage.block_on(async move { client.list(&filter).await }).unwrap();
    listed.into_iter().map(|run| (run.entry.workflow_id.to_string(), run.entry.status)).collect()
}

#[test]
fn a_closed_run_is_removed_with_everything_when_its_time_is_over_and_not_before() {
    let stage = Stage::new(1);
    closed(&stage, "a");
    let keys = stage.all_keys();
    for part in ["/history", "/events/", "/activity/", "/payload/", "/index/closed/"] {
        assert!(keys.iter().any(|key| key.contains(part)), "{part}: {keys:#?}");
    }
    stage.pass(DAY - HOUR);
    assert_eq!(stage.purge(KEPT), PurgeReport::default(), "what began later is not even read");
    assert!(whole(&stage, "a", None));
    stage.pass(2 * HOUR);
    let report = stage.purge(KEPT);
    assert_eq!(report, PurgeReport { runs: 1, purged: 1, objects: keys.len(), ..report });
    assert_eq!((report.failed, stage.all_keys()), (0, vec![]));
    assert!(!whole(&stage, "a", None) && listed(&stage).is_empty());
    assert_eq!(stage.purge(KEPT), PurgeReport::default());
}

#[test]
fn what_counts_is_when_a_run_closed_and_open_runs_stay_for_ever() {
    let stage = Stage::running(2);
    stage.start("open", json!({}));
    stage.start("long", json!({}));
    stage.pass(5 * DAY);
    stage.signal("long", "end");
    stage.pass(MINUTE);
    let young = PurgeReport { runs: 1, ..PurgeReport::default() };
    assert_eq!(stage.purge(KEPT), young);
    stage.pass(DAY - HOUR);
    assert_eq!(stage.purge(KEPT), young);
    stage.pass(2 * HOUR);
    assert_eq!(stage.purge(KEPT).purged, 1);
    stage.pass(5 * DAY);
    assert_eq!(stage.purge(KEPT), PurgeReport::default());
    assert_eq!(listed(&stage), [("open".to_owned(), Status::Running)]);
    stage.signal("open", "end");
    stage.end("open", MINUTE);
}

#[test]
fn the_earlier_runs_of_an_id_are_removed_beneath_the_current_one() {
    let stage = Stage::new(3);
    let first = closed(&stage, "a");
    again(&stage, "a", 1);
    let client = stage.client();
    let goes_on = json!({"type": "signal", "id": "a", "name": "go_on", "input": {}});
    let second = stage.history("a").0.header.run_id;
    stage.send(goes_on);
    stage.pass(MINUTE);
    stage.pass(DAY + HOUR);
    let (before, _) = stage.history("a");
    assert_eq!(stage.purge(KEPT).purged, 2);
    let (after, events) = stage.history("a");
    assert_eq!(after.header, before.header, "the head of an open run is not touched");
    assert_eq!(events.len(), 1);
    for run in [first, second] {
        assert!(!whole(&stage, "a", Some(run)));
    }
    let left = stage.all_keys();
    assert_eq!(left.len(), 2, "the head and its entry: {left:#?}");
    stage.signal("a", "end");
    let outcome = stage.block_on(async move { client.result(&"a".parse().unwrap(), Some(second)).await });
    outcome.expect("the first run of a chain means the chain, also when it is gone itself");
}

#[test]
fn a_purge_that_dies_anywhere_leaves_no_torn_run_and_is_finished_by_the_next() {
    for archived in [false, true] {
        for calls in 0.. {
            let stage = Stage::new(4);
            let run = closed(&stage, "a");
            if archived {
                again(&stage, "a", 1).kill();
            }
            stage.pass(DAY + HOUR);
            let died = stage.purge_with(KEPT, Dies::after(calls, |_| true));
            whole(&stage, "a", Some(run));
            if died.failed == 0 {
                assert!(calls > 10 && died.purged == 1, "{calls} {died:?}");
                break;
            }
            let report = stage.purge(KEPT);
            assert_eq!(report.failed, 0);
            assert!(!whole(&stage, "a", Some(run)));
            let left = stage.all_keys();
            assert_eq!(left.len(), if archived { 2 } else { 0 }, "after {calls} calls: {left:#?}");
            if archived {
                stage.orchestrator("third");
                stage.signal("a", "end");
                stage.end("a", MINUTE);
            }
        }
    }
}

#[test]
fn whoever_reads_at_that_moment_sees_the_run_or_none() {
    let (mut seen, mut missed) = (0, 0);
    for ms in (0..200).step_by(5) {
        let stage = Stage::new(5);
        let run = closed(&stage, "a");
        stage.pass(DAY + HOUR);
        let (_, ports) = Gate::slow(&stage.ports(&stage.sim.process("reader")), Duration::from_millis(10));
        let reader = millrace_engine::Client::new(ports, keys(), None);
        let purger = stage.purger(KEPT, |ports| Gate::slow(&ports, Duration::from_millis(7)).1);
        let clock = stage.sim.clock();
        let read = stage.block_on(async move {
            let read = async {
                stage::pause(&*clock, Duration::from_millis(ms)).await;
                reader.history(&"a".parse().unwrap(), Some(run)).await
            };
            futures::join!(purger.purge(None), read).1
        });
        match read {
            Ok((head, events)) => {
                assert_eq!(events.len() as u64, head.header.last);
                seen += 1;
            }
            Err(ClientError::NotFound(_)) => missed += 1,
            Err(torn) => panic!("{ms}: {torn}"),
        }
    }
    assert!(seen > 5 && missed > 5, "{seen} {missed}");
}

#[test]
fn g5_a_start_that_is_about_to_replace_the_run_finds_it_gone_and_begins_anew() {
    // Held before its archive, before the index entry that follows, before the head itself.
    for puts in 0..3 {
        let stage = Stage::new(6);
        let first = stage.orchestrator("o1");
        closed_by(&stage, &first);
        stage.pass(DAY + HOUR);
        let mut gate = None;
        stage.orchestrator_with("o2", |_, ports| {
            let (held, ports) = Gate::wrap(&ports);
            gate = Some(held);
            ports
        });
        let gate = gate.unwrap();
        gate.freeze_before_nth("put", puts, HOUR);
        stage.send(json!({"type": "start", "workflow": "script", "id": "a", "request_id": "again"}));
        stage.pass(SECOND);
        let report = stage.purge(KEPT);
        assert_eq!((report.purged, report.failed), (1, 0), "{report:?}");
        stage.pass(2 * HOUR);
        assert_eq!(stage.events("a"), ["RunStarted"]);
        // What the turn wrote of the run before, it wrote into the index, too: the next purge finds it.
        assert_eq!(stage.purge(KEPT).failed, 0);
        let left = stage.all_keys();
        assert_eq!(left.len(), 2, "held before put {puts}: {left:#?}");
        stage.signal("a", "end");
        stage.end("a", MINUTE);
        stage.comes_to_rest(HOUR);
    }
}

/// A small run that one orchestrator has made, which is gone then.
fn closed_by(stage: &Stage, orchestrator: &Process) -> RunId {
    stage.start("a", json!({}));
    stage.signal("a", "end");
    stage.end("a", MINUTE);
    stage.comes_to_rest(HOUR);
    orchestrator.kill();
    stage.history("a").0.header.run_id
}

#[test]
fn a_start_that_was_first_keeps_its_run_and_the_archive_goes_next_time() {
    let stage = Stage::new(7);
    let run = closed(&stage, "a");
    stage.pass(DAY + HOUR);
    let mut gate = None;
    let purger = stage.purger(KEPT, |ports| {
        let (held, ports) = Gate::wrap(&ports);
        gate = Some(held);
        ports
    });
    gate.unwrap().freeze_before("delete_if", HOUR);
    let sim = stage.sim.clone();
    let purge = Arc::new(std::sync::Mutex::new(None));
    let told = purge.clone();
    sim.process("purging").spawn(async move { *told.lock().unwrap() = Some(purger.purge(None).await) });
    stage.pass(SECOND);
    again(&stage, "a", 1);
    stage.pass(2 * HOUR);
    let report = purge.lock().unwrap().take().unwrap();
    assert_eq!(report, PurgeReport { runs: 1, replaced: 1, ..PurgeReport::default() });
    assert_eq!(stage.events("a"), ["RunStarted"], "the open run is there");
    assert!(whole(&stage, "a", Some(run)), "and the one before, all of it");
    assert_eq!(stage.purge(KEPT).purged, 1);
    assert_eq!(stage.all_keys().len(), 2);
    stage.signal("a", "end");
    stage.end("a", MINUTE);
}

#[test]
fn starts_and_purges_at_the_same_moment_lose_nothing_in_any_order() {
    let (mut purged, mut replaced) = (0, 0);
    for seed in 0..200 {
        let stage = Stage::new(1_000 + seed);
        let first = stage.orchestrator("o");
        closed_by(&stage, &first);
        stage.pass(DAY + HOUR);
        // Every call takes its time, so that the steps of the three interleave in ever other ways.
        let slowly = |ms: u64| move |ports: Ports| Gate::slow(&ports, Duration::from_millis(ms)).1;
        let both = [("o1", 1 + seed % 7), ("o2", 1 + seed % 11)]
            .map(|(name, ms)| stage.orchestrator_with(name, |_, ports| slowly(ms)(ports)));
        let (purger, client) = (stage.purger(KEPT, slowly(seed % 5)), stage.client());
        let start = json!({"type": "start", "workflow": "script", "id": "a", "request_id": "race"});
        let report = stage.block_on(async move {
            let start = client.send_raw(start.to_string());
            futures::join!(purger.purge(None), start).0
        });
        assert_eq!((report.runs, report.failed), (1, 0), "seed {seed}: {report:?}");
        purged += report.purged;
        replaced += report.replaced;
        stage.pass(MINUTE);
        assert_eq!(stage.events("a"), ["RunStarted"], "seed {seed}");
        assert_eq!(stage.history("a").0.header.status, Status::Running);
        stage.signal("a", "end");
        stage.end("a", MINUTE);
        stage.comes_to_rest(HOUR);
        both.iter().for_each(Process::kill);
        stage.pass(DAY + HOUR);
        assert_eq!(stage.purge(KEPT).failed, 0);
        assert_eq!(stage.all_keys(), [""; 0], "seed {seed}");
    }
    assert!(purged > 3 && replaced > 3, "either is first at times: {purged} {replaced}");
}

#[test]
fn g10_late_messages_to_a_purged_run_are_dead_letters_or_dropped() {
    let stage = Stage::new(9);
    let run = closed(&stage, "a");
    stage.pass(DAY + HOUR);
    assert_eq!(stage.purge(KEPT).purged, 1);
    stage.orchestrator("o");
    stage.signal("a", "note");
    stage.send(json!({"type": "cancel", "id": "a", "run_id": run.to_string()}));
    let event = |report: Value| {
        let mut body = json!({"v": 1, "namespace": "default", "workflow_id": "a", "run_id": run.to_string()});
        body.as_object_mut().unwrap().extend(report.as_object().unwrap().clone());
        stage.send_to(&QueueName::events(), body.to_string());
    };
    let late = [
        json!({"type": "timer", "timer_id": 1}),
        json!({"type": "wake", "wake": 1}),
        json!({"type": "outcome", "activity_id": 1, "attempt": 1, "receive_count": 1, "result": {"completed": 1}}),
    ];
    late.iter().cloned().for_each(event);
    stage.pass(10 * MINUTE);
    let mut dead: Vec<_> = stage.dead(&QueueName::inbox()).into_iter().map(|(_, error)| error).collect();
    dead.sort();
    assert_eq!(dead, ["there is no workflow `a`"; 2]);
    assert_eq!(stage.memory.messages_in(&QueueName::events()), 0);
    assert_eq!(stage.memory.messages_in(&QueueName::events().dead_letters()), 0);
    // The same where the id is in use again.
    again(&stage, "a", 1);
    stage.send(json!({"type": "signal", "id": "a", "name": "note", "run_id": run.to_string()}));
    late.into_iter().for_each(event);
    stage.pass(10 * MINUTE);
    let dead = stage.dead(&QueueName::inbox());
    assert!(dead.iter().any(|(_, error)| *error == format!("run_id: `a` has no run {run}")), "{dead:?}");
    assert_eq!(stage.memory.messages_in(&QueueName::events()), 0);
    assert_eq!(stage.events("a"), ["RunStarted"]);
}

#[test]
fn a_run_that_continues_and_that_nobody_followed_is_helped_on_instead() {
    let stage = Stage::new(10);
    // Start, index; close, index: then its orchestrator is gone, and so are the messages.
    let orchestrator = stage.orchestrator_with("o1", |_, ports| Dies::after(4, |call| call == "put")(ports));
    stage.start("a", json!({}));
    stage.pass(MINUTE);
    stage.send(json!({"type": "signal", "id": "a", "name": "go_on", "input": {}}));
    stage.pass(SECOND);
    orchestrator.kill();
    assert_eq!(stage.history("a").0.header.status, Status::ContinuedAsNew);
    stage.pass(DAY + HOUR);
    let queues = stage.memory.clone();
    let inbox = QueueName::inbox();
    stage.block_on(async move { queues.receive(&inbox, 10, Duration::ZERO, SECOND).await }).unwrap();
    let report = stage.purge(KEPT);
    assert_eq!(report, PurgeReport { runs: 1, continued: 1, ..PurgeReport::default() });
    stage.orchestrator("o2");
    stage.pass(MINUTE);
    assert_eq!(stage.events("a"), ["RunStarted"]);
    assert_eq!(stage.history("a").0.header.status, Status::Running);
    assert_eq!(stage.purge(KEPT).purged, 1, "now its archive may go");
    assert_eq!(stage.events("a"), ["RunStarted"]);
}

#[test]
fn one_that_cannot_be_removed_does_not_hold_up_the_others() {
    let stage = Stage::new(11);
    for id in ["a", "b", "c"] {
        closed(&stage, id);
    }
    stage.pass(DAY + HOUR);
    let key = keys().history(&"b".parse().unwrap());
    let store = stage.memory.clone();
    stage.block_on(async move { store.put(&key, Bytes::from("{}"), Condition::Always).await }).unwrap();
    let report = stage.purge(KEPT);
    assert_eq!((report.runs, report.purged, report.failed), (3, 2, 1));
    let (client, id) = (stage.client(), "b".parse().unwrap());
    let error = stage.block_on(async move { client.history(&id, None).await }).unwrap_err();
    assert!(matches!(error, ClientError::Load(LoadError::Corrupt(_))), "left for a person: {error}");
    // Its time is over before it has begun: the next one goes on.
    let (purger, now) = (stage.purger(KEPT, |ports| ports), stage.sim.clock().now());
    let report = stage.block_on(async move { purger.purge(Some(now)).await });
    assert_eq!(report, PurgeReport { unfinished: true, ..PurgeReport::default() });
}

#[test]
fn what_a_purge_costs() {
    let stage = Stage::running(12);
    for n in 0..40 {
        stage.start(&format!("run-{n}"), json!({}));
        stage.signal(&format!("run-{n}"), "end");
        stage.end(&format!("run-{n}"), MINUTE);
    }
    stage.start("open", json!({}));
    stage.pass(DAY + HOUR);
    let costs = || {
        let mut counting = None;
        let report = stage.purge_with(KEPT, |ports| {
            let (counter, ports) = Counting::wrap(&ports);
            counting = Some(counter);
            ports
        });
        let used = counting.unwrap().counts();
        assert_eq!((used.puts, used.sends), (0, 0));
        (report.purged, used.lists, used.gets, used.deletes)
    };
    // Each: its entry and its head read, its prefix listed, both deleted. Each shard is listed twice, once if it is empty.
    assert_eq!(costs(), (40, 8 + 40, 2 * 40, 2 * 40));
    assert_eq!(costs(), (0, 4, 0, 0));
}
