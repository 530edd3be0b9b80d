//! Finding runs: by attributes, by time, by the beginning of an id; what that costs, and what is no attribute (G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use millrace_core::{Status, Timestamp};
use millrace_engine::ports::{Condition, Counting, ObjectStore, QueueName};
use millrace_engine::{Client, ListFilter, Listed};
use millrace_format::IndexEntry;
use serde_json::json;
use stage::{Gate, MINUTE, SECOND, Stage, keys};

/// One run a second, every second one of `ann`, each closed that has an even number.
fn populated(seed: u64, runs: u64) -> Stage {
    let stage = Stage::running(seed);
    for n in 0..runs {
        let customer = if n % 2 == 0 { "ann" } else { "bob" };
        stage.send(json!({"type": "start", "workflow": "script", "id": format!("{customer}-{n:03}"),
            "attributes": {"customer": customer, "priority": n % 5, "vip": n % 10 == 0}}));
        stage.pass(SECOND);
        if n % 2 == 0 {
            stage.signal(&format!("ann-{n:03}"), "end");
        }
    }
    stage.pass(MINUTE);
    stage
}

fn wanting(conditions: &[&str]) -> ListFilter {
    let attributes = conditions.iter().map(|condition| condition.parse().unwrap()).collect();
    ListFilter { attributes, limit: 1_000, ..ListFilter::default() }
}

fn ids(stage: &Stage, filter: ListFilter) -> Vec<String> {
    let client = stage.client();
    let listed = stage.block_on(async move { client.list(&filter).await }).unwrap();
    listed.into_iter().map(|run| run.entry.workflow_id.to_string()).collect()
}

#[test]
fn runs_open_and_closed_are_found_by_their_attributes() {
    let stage = populated(1, 20);
    let of = |n: u64| format!("{}-{n:03}", if n.is_multiple_of(2) { "ann" } else { "bob" });
    let expect =
        |passes: &dyn Fn(u64) -> bool| (0..20).rev().filter(|n| passes(*n)).map(of).collect::<Vec<_>>();
    assert_eq!(ids(&stage, wanting(&["customer=ann"])), expect(&|n| n % 2 == 0));
    assert_eq!(ids(&stage, wanting(&["priority>=3"])), expect(&|n| n % 5 >= 3));
    assert_eq!(ids(&stage, wanting(&["priority!=3", "customer=bob"])), expect(&|n| n % 5 != 3 && n % 2 == 1));
    assert_eq!(ids(&stage, wanting(&["vip=true"])), ["ann-010", "ann-000"]);
    assert_eq!(ids(&stage, wanting(&["region=eu"])), [""; 0]);
    let open = ListFilter { status: Some(Status::Running), ..wanting(&["priority<2"]) };
    assert_eq!(ids(&stage, open), expect(&|n| n % 2 == 1 && n % 5 < 2));
    assert_eq!(
        ids(&stage, ListFilter { limit: 3, ..wanting(&["customer=bob"]) }),
        ["bob-019", "bob-017", "bob-015"]
    );
}

#[test]
fn an_entry_of_before_attributes_were_indexed_does_not_match() {
    let stage = populated(2, 1);
    let store = stage.memory.clone();
    stage.block_on(async move {
        let key = store.list("default/index/closed/", None, None, 10).await.unwrap().remove(0);
        let body = store.get(&key).await.unwrap().unwrap().body;
        let mut entry: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(entry["attributes"]["customer"], "ann");
        entry.as_object_mut().unwrap().remove("attributes");
        assert!(IndexEntry::decode(entry.to_string().as_bytes()).unwrap().attributes.is_empty());
        store.put(&key, entry.to_string().into(), Condition::Always).await.unwrap();
    });
    assert_eq!(ids(&stage, wanting(&["customer=ann"])), [""; 0]);
    assert_eq!(ids(&stage, wanting(&["customer!=bob"])), [""; 0]);
    assert_eq!(ids(&stage, wanting(&[])), ["ann-000"]);
}

#[test]
fn times_and_beginnings_of_ids_are_read_off_the_names() {
    let stage = populated(3, 300);
    let started = |id: &str| stage.history(id).0.header.started_at;
    let (from, to) = (started("ann-100"), started("ann-104"));
    let between = ListFilter { since: Some(from), until: Some(to), ..wanting(&[]) };
    assert_eq!(ids(&stage, between.clone()), ["bob-103", "ann-102", "bob-101", "ann-100"]);
    let just_after = Timestamp::from_millis(from.as_millis() + 1);
    assert_eq!(ids(&stage, ListFilter { since: Some(just_after), ..between.clone() }).len(), 3);
    let beginning = ListFilter { id_prefix: Some("ann-29".into()), ..wanting(&[]) };
    assert_eq!(ids(&stage, beginning.clone()), ["ann-298", "ann-296", "ann-294", "ann-292", "ann-290"]);

    let costs = |filter: ListFilter| {
        let (counting, ports) = Counting::wrap(&stage.ports(&stage.sim.process("counted")));
        let client = Client::new(ports, keys(), None);
        stage.block_on(async move { client.list(&filter).await }).unwrap();
        let counts = counting.counts();
        (counts.lists, counts.gets)
    };
    // Two closed runs, one GET each; two open ones, two each: the entry and the head.
    assert_eq!(costs(between), (8, 2 + 2 * 2));
    assert_eq!(costs(beginning), (8, 5), "names are listed, entries of other ids not read");
    let open = ListFilter { status: Some(Status::Running), ..wanting(&["customer=ann"]) };
    assert_eq!(costs(open), (4, 150), "what the entry rules out is not looked up in its head");
    assert_eq!(
        costs(ListFilter { limit: 5, ..wanting(&[]) }),
        (8, 5 + 3),
        "and no more is read than is wanted"
    );
}

/// Its name was listed as an open run's, and its entry has moved before it is read.
#[test]
fn a_run_that_closes_while_it_is_listed_is_not_left_out() {
    let stage = populated(5, 2);
    let (gate, ports) = Gate::wrap(&stage.ports(&stage.sim.process("lister")));
    gate.freeze_before("get", MINUTE);
    let (lister, teller) = (Client::new(ports, keys(), None), stage.client());
    let listed = stage.block_on(async move {
        let end = json!({"type": "signal", "id": "bob-001", "name": "end"}).to_string();
        let all = wanting(&[]);
        let (listed, told) = futures::future::join(lister.list(&all), teller.send_raw(end)).await;
        told.unwrap();
        listed.unwrap()
    });
    let stand = |run: &Listed| (run.entry.workflow_id.to_string(), run.entry.status);
    let completed = |id: &str| (id.to_owned(), Status::Completed);
    assert_eq!(listed.iter().map(stand).collect::<Vec<_>>(), [completed("bob-001"), completed("ann-000")]);
}

#[test]
fn g10_what_is_no_attribute_is_refused_at_the_door_with_its_name() {
    let stage = Stage::running(4);
    for (attributes, said) in [
        (json!(["ann"]), "attributes: they are an object"),
        (json!({"who": {"name": "ann"}}), "attributes: `who` is neither"),
        (json!({"a": "x".repeat(5_000)}), "attributes: they have 5008 bytes"),
    ] {
        stage.send(json!({"type": "start", "workflow": "script", "id": "a", "attributes": attributes}));
        stage.pass(SECOND);
        let dead = stage.dead(&QueueName::inbox());
        assert!(dead.iter().any(|(_, error)| error.starts_with(said)), "{said}: {dead:?}");
        stage.pass(SECOND);
    }
    assert_eq!(ids(&stage, wanting(&[])), [""; 0]);
}
