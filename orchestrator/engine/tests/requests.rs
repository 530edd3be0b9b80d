//! What clients see: requests and their ends, lists, archived runs; and messages that wait for their run (G2, G7, G9, G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use millrace_core::{Payload, RequestId, RunId, Status, WorkflowCode, WorkflowType};
use millrace_engine::ports::QueueName;
use millrace_engine::{Client, ListFilter, Orchestrator, OrchestratorConfig, Outcome};
use millrace_format::message::InboxMessage;
use serde_json::{Value, json};
use stage::{HOUR, MINUTE, SECOND, Script, Stage, keys};

use millrace_format::message::{ResumeMessage, SignalMessage, StartMessage, StopMessage};

fn request(verb: &str, id: &str, request_id: &str, run_id: Option<RunId>) -> InboxMessage {
    let mut body = json!({"id": id, "request_id": request_id});
    if let Some(run_id) = run_id {
        body["run_id"] = json!(run_id.to_string());
    }
    match verb {
        "start" => {
            body["workflow"] = json!("script");
            InboxMessage::Start(serde_json::from_value::<StartMessage>(body).unwrap())
        }
        "signal" => {
            body["name"] = json!("note");
            InboxMessage::Signal(serde_json::from_value::<SignalMessage>(body).unwrap())
        }
        "echo" | "refuse" | "ignored" => {
            body["name"] = json!(verb);
            body["input"] = json!(request_id);
            InboxMessage::Update(serde_json::from_value::<SignalMessage>(body).unwrap())
        }
        "go_on" | "end" => {
            body["name"] = json!(verb);
            InboxMessage::Signal(serde_json::from_value::<SignalMessage>(body).unwrap())
        }
        "cancel" => InboxMessage::Cancel(serde_json::from_value::<StopMessage>(body).unwrap()),
        "terminate" => InboxMessage::Terminate(serde_json::from_value::<StopMessage>(body).unwrap()),
        _ => InboxMessage::Resume(serde_json::from_value::<ResumeMessage>(body).unwrap()),
    }
}

/// A world with an orchestrator, a client beside it and one elsewhere.
fn two_clients(seed: u64) -> (Stage, [Client; 2]) {
    let stage = Stage::new(seed);
    let process = stage.sim.process("o");
    let ports = stage.ports(&process);
    let orchestrator = std::sync::Arc::new(Orchestrator::new(
        ports.clone(),
        std::sync::Arc::new(Script),
        OrchestratorConfig::default(),
    ));
    let beside = Client::new(ports, keys(), Some(orchestrator.notices()));
    for queue in [QueueName::inbox(), QueueName::events()] {
        let orchestrator = orchestrator.clone();
        process.spawn(async move {
            loop {
                let _ = orchestrator.poll(&queue).await;
            }
        });
    }
    let elsewhere = stage.client();
    (stage, [beside, elsewhere])
}

fn ask(stage: &Stage, client: &Client, request: InboxMessage) -> Result<RunId, String> {
    let client = client.clone();
    let asked = async move {
        client.send(&request).await.unwrap();
        client.absorbed(&request).await.map_err(|e| e.to_string())
    };
    stage.sim.block_on(asked, MINUTE).expect("it answers within a minute")
}

#[test]
fn g10_absorbed_answers_for_every_verb_and_its_duplicates() {
    for which in 0..2 {
        let (stage, clients) = two_clients(which);
        let client = &clients[which as usize];
        let closed = Err("the run is closed".to_owned());
        let run = ask(&stage, client, request("start", "a", "r1", None)).unwrap();
        assert_eq!(ask(&stage, client, request("start", "a", "r1", None)), Ok(run));
        assert_eq!(ask(&stage, client, request("signal", "a", "r2", None)), Ok(run));
        assert_eq!(ask(&stage, client, request("signal", "a", "r2", None)), Ok(run));
        assert_eq!(ask(&stage, client, request("resume", "a", "r3", None)), Ok(run), "it is not blocked");
        assert_eq!(ask(&stage, client, request("resume", "a", "r3", None)), Ok(run));
        assert_eq!(ask(&stage, client, request("cancel", "a", "r4", None)), Ok(run));
        assert_eq!(ask(&stage, client, request("cancel", "a", "r4", None)), Ok(run), "closed, but absorbed");
        for verb in ["cancel", "terminate", "resume", "signal"] {
            for _ in 0..2 {
                let answer = ask(&stage, client, request(verb, "a", &format!("late-{verb}"), None));
                assert_eq!(answer, closed, "{verb}, client {which}");
            }
        }
        // A later run of the same id: what is meant for the earlier one is too late.
        let next = ask(&stage, client, request("start", "a", "r5", None)).unwrap();
        assert_ne!(next, run);
        for verb in ["cancel", "terminate", "resume"] {
            let answer = ask(&stage, client, request(verb, "a", &format!("old-{verb}"), Some(run)));
            assert_eq!(answer, closed, "{verb}, client {which}");
        }
        assert_eq!(
            ask(&stage, client, request("cancel", "a", "r4", None)),
            Ok(run),
            "known from the run before"
        );
        assert_eq!(ask(&stage, client, request("terminate", "a", "r6", Some(next))), Ok(next));
    }
}

#[test]
fn a_request_is_waited_for_by_its_id_from_before_its_workflow_is_there() {
    for which in 0..2 {
        let (stage, clients) = two_clients(which);
        let client = clients[which as usize].clone();
        let (asks, sends, clock) = (client.clone(), client.clone(), stage.sim.clock());
        let found = stage.block_on(async move {
            let late = async move {
                stage::pause(&*clock, HOUR).await;
                sends.send(&request("start", "a", "r1", None)).await.unwrap();
            };
            let (id, r1) = ("a".parse().unwrap(), RequestId::new("r1").unwrap());
            futures::future::join(asks.absorbed_by(&id, &r1), late).await.0.unwrap()
        });
        assert_eq!(found, stage.history("a").0.header.run_id);
        ask(&stage, &client, request("cancel", "a", "r2", None)).unwrap();
        assert_ne!(ask(&stage, &client, request("start", "a", "r3", None)), Ok(found));
        let again = stage.block_on(async move {
            client.absorbed_by(&"a".parse().unwrap(), &RequestId::new("r1").unwrap()).await
        });
        assert_eq!(again.unwrap(), found, "known from the run before");
    }
}

/// What the client hears of an update that was sent, within a minute.
fn answer(
    stage: &Stage,
    client: &Client,
    run: Option<RunId>,
    update: &str,
) -> Option<Result<Payload, String>> {
    let (client, update) = (client.clone(), RequestId::new(update).unwrap());
    let answer = async move { client.answer(&"a".parse().unwrap(), run, &update).await };
    Some(stage.sim.block_on(answer, MINUTE).ok()?.map_err(|error| error.to_string()))
}

#[test]
fn updates_are_answered_to_clients_beside_and_elsewhere_and_after_the_run_went_on() {
    for which in 0..2 {
        let (stage, clients) = two_clients(which);
        let client = &clients[which as usize];
        let run = ask(&stage, client, request("start", "a", "r1", None)).unwrap();
        for _ in 0..2 {
            assert_eq!(ask(&stage, client, request("echo", "a", "u1", None)), Ok(run));
            assert_eq!(ask(&stage, client, request("refuse", "a", "u2", None)), Err("no".into()));
        }
        assert_eq!(ask(&stage, client, request("ignored", "a", "u3", None)), Ok(run));
        let echo = |id: &str| Some(Ok(stage::payload(json!(id))));
        assert_eq!(answer(&stage, client, None, "u1"), echo("u1"));
        assert_eq!(answer(&stage, client, None, "u2"), Some(Err("no".into())));
        assert_eq!(answer(&stage, client, None, "u3"), None, "not yet");
        for n in 0..3 {
            ask(&stage, client, request("go_on", "a", &format!("g{n}"), Some(run))).unwrap();
        }
        stage.pass(SECOND);
        let last = ask(&stage, client, request("echo", "a", "u4", Some(run))).unwrap();
        assert_ne!(last, run);
        for wanted in [None, Some(run), Some(last)] {
            assert_eq!(answer(&stage, client, wanted, "u1"), echo("u1"), "of an archive");
            assert_eq!(answer(&stage, client, wanted, "u4"), echo("u4"));
        }
        assert_eq!(
            ask(&stage, client, request("resume", "a", "r2", Some(run))),
            Ok(last),
            "it is not blocked"
        );
        assert_eq!(ask(&stage, client, request("end", "a", "r3", Some(run))), Ok(last));
        let outcome = |wanted| {
            let client = client.clone();
            stage.block_on(async move { client.result(&"a".parse().unwrap(), wanted).await }).unwrap()
        };
        assert_eq!(
            [outcome(Some(run)), outcome(Some(last))],
            [(); 2].map(|()| Outcome::Completed(Payload::null()))
        );
        let ended = Some(Err("the workflow ended before it answered".to_owned()));
        assert_eq!(answer(&stage, client, Some(run), "u3"), ended);
        assert_eq!(answer(&stage, client, Some(run), "u1"), echo("u1"), "also after the end");
        for verb in ["cancel", "terminate", "resume", "echo"] {
            let late = ask(&stage, client, request(verb, "a", &format!("late-{verb}"), Some(run)));
            assert_eq!(late, Err("the run is closed".into()), "{verb}");
        }
    }
}

#[test]
fn queries_are_answered_by_the_code_at_hand_and_leave_no_trace() {
    let (stage, [client, _]) = two_clients(9);
    let query = |name: &'static str, code: &'static dyn WorkflowCode| {
        let client = client.clone();
        let asked =
            async move { client.query(&"a".parse().unwrap(), None, (name, &Payload::null()), code).await };
        stage.block_on(asked).map_err(|error| error.to_string())
    };
    assert!(query("done", &Script).unwrap_err().contains("there is no workflow `a`"));
    stage.start("a", json!({"timers": 3, "timer_s": 10}));
    stage.pass(25 * SECOND);
    let before = stage.events("a");
    assert_eq!(query("done", &Script), Ok(stage::payload(json!(2))));
    assert_eq!(query("todo", &Script).unwrap_err(), "name: workflow `script` answers no query `todo`");
    assert_eq!(stage.events("a"), before);
    stage.end("a", MINUTE);
    assert_eq!(query("done", &Script), Ok(stage::payload(json!(3))));
}

#[test]
fn g10_a_rejected_start_is_told_beside_the_orchestrator() {
    let (stage, [beside, _]) = two_clients(3);
    ask(&stage, &beside, request("start", "a", "r1", None)).unwrap();
    let refused = ask(&stage, &beside, request("start", "a", "r2", None)).unwrap_err();
    assert!(refused.contains("is open; use another id"), "{refused}");
}

#[test]
fn g9_a_signal_that_waited_for_its_run_does_not_make_it_suspect() {
    let stage = Stage::running(4);
    stage.signal("late", "end");
    stage.pass(50 * SECOND);
    stage.start("late", Value::Null);
    stage.end("late", 20 * SECOND);
    assert_eq!(stage.events("late"), ["RunStarted", "SignalReceived", "RunCompleted"]);
}

#[test]
fn g10_a_signal_without_a_run_is_dead_lettered_after_a_minute() {
    let stage = Stage::running(5);
    stage.signal("never", "end");
    stage.pass(55 * SECOND);
    assert!(stage.dead(&QueueName::inbox()).is_empty());
    stage.pass(20 * SECOND);
    assert_eq!(stage.dead(&QueueName::inbox())[0].1, "there is no workflow `never`");
}

#[test]
fn g7_archived_runs_keep_their_results() {
    let (stage, [client, _]) = two_clients(6);
    let mut runs = Vec::new();
    for n in 0..4 {
        let run = ask(&stage, &client, request("start", "a", &format!("s{n}"), None)).unwrap();
        stage.send(json!({"type": "signal", "id": "a", "name": "end", "input": n}));
        stage.end("a", MINUTE);
        runs.push(run);
    }
    for (n, run) in runs.iter().enumerate() {
        let (client, run) = (client.clone(), *run);
        let outcome = stage.block_on(async move { client.result(&"a".parse().unwrap(), Some(run)).await });
        assert_eq!(outcome.unwrap(), Outcome::Completed(stage::payload(json!(n))));
    }
    let missing = stage
        .block_on(async move { client.result(&"a".parse().unwrap(), Some(RunId::from_random(1))).await })
        .unwrap_err();
    assert!(missing.to_string().contains("there is no workflow `a` with a run `"), "{missing}");
}

#[test]
fn lists_show_the_newest_first_and_tell_the_truth_about_open_runs() {
    let stage = Stage::running(7);
    let client = stage.client();
    for n in 0..300 {
        let workflow = if n % 3 == 0 { "other" } else { "script" };
        stage.send(json!({"type": "start", "workflow": workflow, "id": format!("run-{n:03}")}));
        stage.pass(SECOND);
    }
    for n in (0..300).step_by(5) {
        stage.signal(&format!("run-{n:03}"), "end");
    }
    stage.send(json!({"type": "start", "workflow": "nope", "id": "stuck"}));
    stage.pass(MINUTE);
    let list = |filter: ListFilter| {
        let client = client.clone();
        stage.block_on(async move { client.list(&filter).await }).unwrap()
    };
    let ids = |filter| -> Vec<String> {
        list(filter).into_iter().map(|run| run.entry.workflow_id.to_string()).collect()
    };
    let all = ids(ListFilter { limit: 1_000, ..ListFilter::default() });
    let mut expected: Vec<String> = (0..300).rev().map(|n| format!("run-{n:03}")).collect();
    expected.insert(0, "stuck".into());
    assert_eq!(all, expected);
    assert_eq!(ids(ListFilter { limit: 7, ..ListFilter::default() }), expected[..7]);

    let done = ids(ListFilter { limit: 1_000, status: Some(Status::Completed), ..ListFilter::default() });
    assert_eq!(
        done,
        (0..300).rev().filter(|n| n % 5 == 0).map(|n| format!("run-{n:03}")).collect::<Vec<_>>()
    );
    let open = ids(ListFilter { limit: 1_000, status: Some(Status::Running), ..ListFilter::default() });
    assert_eq!(open.len(), 241);
    let other = Some(WorkflowType::new("other").unwrap());
    let both = ids(ListFilter {
        limit: 1_000,
        status: Some(Status::Completed),
        workflow: other,
        ..ListFilter::default()
    });
    assert_eq!(both.len(), 20);
    let blocked = list(ListFilter { limit: 10, blocked: true, ..ListFilter::default() });
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0].entry.workflow_id.as_str(), "stuck");

    // The index of open runs lags: an entry that outlived its run is checked against the head.
    let (head, _) = stage.history("run-000");
    let info = &head.header;
    let key = keys().index_open(
        list(ListFilter { limit: 1_000, ..ListFilter::default() })[300].entry.started_at,
        &info.workflow_id,
        info.run_id,
    );
    let entry = millrace_format::IndexEntry {
        workflow_id: info.workflow_id.clone(),
        run_id: info.run_id,
        workflow: info.workflow.clone(),
        status: Status::Running,
        started_at: stage.sim.clock().now(),
        closed_at: None,
        attributes: millrace_format::Attributes::default(),
    };
    let store = stage.memory.clone();
    stage.block_on(async move {
        use millrace_engine::ports::ObjectStore;
        store.put(&key, entry.encode().into(), millrace_engine::ports::Condition::Always).await.unwrap();
    });
    let open = ids(ListFilter { limit: 1_000, status: Some(Status::Running), ..ListFilter::default() });
    assert_eq!(open.len(), 241, "the head says that it is closed");
    let all = ids(ListFilter { limit: 1_000, ..ListFilter::default() });
    assert_eq!(all, expected, "and it is listed once");
}

#[test]
fn g4_a_slow_turn_does_not_hold_up_the_acknowledgements_of_others() {
    let stage = Stage::new(8);
    stage.send(json!({"type": "start", "workflow": "script", "id": "slow", "request_id": "s"}));
    stage.send(json!({"type": "start", "workflow": "script", "id": "quick", "request_id": "q"}));
    stage.orchestrator_with("o", |_, ports| {
        let slow = std::sync::Arc::new(SlowKey(ports.store.clone(), ports.clock.clone()));
        millrace_engine::ports::Ports { store: slow, ..ports }
    });
    stage.pass(5 * SECOND);
    assert_eq!(stage.memory.messages_in(&QueueName::inbox()), 1, "the quick one is acknowledged");
    stage.pass(HOUR);
    assert_eq!(stage.events("slow"), ["RunStarted"]);
}

struct SlowKey(
    std::sync::Arc<dyn millrace_engine::ports::ObjectStore>,
    std::sync::Arc<dyn millrace_engine::ports::Clock>,
);

#[async_trait::async_trait]
impl millrace_engine::ports::ObjectStore for SlowKey {
    async fn get(
        &self,
        key: &str,
    ) -> Result<Option<millrace_engine::ports::Stored>, millrace_engine::ports::StoreError> {
        if key.contains("/slow/") {
            stage::pause(&*self.1, 30 * SECOND).await;
        }
        self.0.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        body: bytes::Bytes,
        condition: millrace_engine::ports::Condition,
    ) -> Result<millrace_engine::ports::ETag, millrace_engine::ports::PutError> {
        self.0.put(key, body, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), millrace_engine::ports::StoreError> {
        self.0.delete(key).await
    }

    async fn delete_if(
        &self,
        key: &str,
        version: &millrace_engine::ports::ETag,
    ) -> Result<(), millrace_engine::ports::DeleteError> {
        self.0.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, millrace_engine::ports::StoreError> {
        self.0.list(prefix, after, before, limit).await
    }
}
