//! Starts: one workflow id, one open run; policies; close, then replace.

use IdConflict::{Fail, TerminateExisting, UseExisting};
use IdReuse::{AllowDuplicate, AllowDuplicateFailedOnly, RejectDuplicate};
use millrace_core::{IdConflict, IdReuse, Message, Run, Start, Status};

use crate::script::*;

/// A run that the signal `end` completes and `fail` fails.
fn open() -> World {
    World::started([
        (On::Started, [schedule(1, "a")].into()),
        (On::Signal("end"), [complete("null")].into()),
        (On::Signal("fail"), [millrace_core::Command::FailRun(boom())].into()),
    ])
}

fn closed(how: &str) -> World {
    let mut world = open();
    match how {
        "terminated" => world.turn(&[terminate("t")]),
        how => world.turn(&[signal("s1", how)]),
    };
    assert!(!world.run().status.is_open());
    world.entropy += 1;
    world
}

const BEGINS: [&str; 5] = [
    "RunStarted",
    "ActivityScheduled 1 a",
    "→ task 1#1 at 0.0s [r:again]",
    "→ index open [r:again]",
    "= Absorbed",
];

#[test]
fn g2_a_start_counts_once() {
    let mut world = open();
    world.expect([plain("start")], ["= Repeated"]);
    world.turn(&[signal("s1", "end")]);
    world.expect([plain("start")], ["= Repeated"]);
}

#[test]
fn two_starts_of_one_id_in_one_batch_make_one_run() {
    let mut world = World::new([(On::Started, [schedule(1, "a")].into())]);
    world.expect(
        [plain("again"), plain("again"), plain("other")],
        [
            "RunStarted",
            "ActivityScheduled 1 a",
            "→ task 1#1 at 0.0s [r:again]",
            "→ index open [r:again]",
            "= Absorbed",
            "= Repeated",
            "= Rejected id",
        ],
    );
}

#[test]
fn id_reuse_decides_about_closed_runs() {
    for (how, policy, begins) in [
        ("end", AllowDuplicate, true),
        ("end", AllowDuplicateFailedOnly, false),
        ("end", RejectDuplicate, false),
        ("fail", AllowDuplicate, true),
        ("fail", AllowDuplicateFailedOnly, true),
        ("fail", RejectDuplicate, false),
        ("terminated", AllowDuplicateFailedOnly, true),
        ("terminated", RejectDuplicate, false),
    ] {
        for conflict in [Fail, UseExisting, TerminateExisting] {
            let lines = closed(how).lines(&[start_if("again", policy, conflict)]);
            let table: &[&str] = if begins { &BEGINS } else { &["= Rejected id"] };
            assert_eq!(lines, table, "{how} {policy:?} {conflict:?}");
        }
    }
}

#[test]
fn id_conflict_fail_rejects_beside_an_open_run() {
    let mut world = open();
    world.expect([start_if("again", AllowDuplicate, Fail)], ["= Rejected id"]);
    assert!(world.run().status.is_open());
}

#[test]
fn g2_id_conflict_use_existing_counts_as_done_once_and_for_good() {
    let mut world = open();
    let again = || start_if("again", AllowDuplicate, UseExisting);
    let first = world.run().info.run_id;
    world.expect([again()], ["= Absorbed"]);
    world.expect([again()], ["= Repeated"]);
    assert_eq!(world.run().absorbed_request(&request("again")), Some(first));
    // Its duplicate, late: it must not begin a run that nobody asked for.
    world.turn(&[signal("s1", "end")]);
    world.expect([again()], ["= Repeated"]);
    world.entropy += 1;
    world.turn(&[plain("third")]);
    world.expect([again()], ["= Elsewhere"]);
}

#[test]
fn id_conflict_terminate_existing_closes_then_replaces() {
    let mut world = open();
    let first = world.run().info.run_id;
    let again = || start_if("again", AllowDuplicate, TerminateExisting);
    world.expect([again()], ["RunTerminated replaced by a new run", "→ index closed [r:again]", "= Again"]);
    world.entropy += 1;
    let decision = world.turn(&[again()]);
    let replaced = decision.replaces.expect("the closed run");
    assert_eq!((replaced.info.run_id, replaced.status), (first, Status::Terminated));
    assert_ne!(world.run().info.run_id, first);
    world.expect([again()], ["= Repeated"]);
}

#[test]
fn what_the_code_refuses_never_begins_and_ends_no_other_run() {
    let refused = |id_conflict| {
        let start = Start { id_conflict, input: payload(REFUSED), ..start("again") };
        incoming(Message::Start(Box::new(start)))
    };
    for conflict in [Fail, UseExisting, TerminateExisting] {
        World::new([]).expect([refused(conflict)], ["= Rejected input"]);
        closed("end").expect([refused(conflict)], ["= Rejected input"]);
    }
    let mut world = open();
    world.expect([refused(TerminateExisting)], ["= Rejected input"]);
    assert!(world.run().status.is_open());
    world.expect([refused(UseExisting)], ["= Absorbed"]);
}

#[test]
fn g4_a_terminate_existing_that_crashed_after_its_first_commit_goes_on() {
    let mut world = open();
    let again = || start_if("again", AllowDuplicateFailedOnly, TerminateExisting);
    world.turn(&[again()]); // and nothing dispatched
    world.cool();
    world.entropy += 1;
    let decision = world.turn(&[times(2, again())]);
    // The host dispatches what the replaced run left before it commits.
    let left: Vec<_> = decision.replaces.unwrap().effects.values().map(show_effect).collect();
    assert_eq!(left, ["→ index closed [r:again]"]);
}

#[test]
fn a_start_that_could_never_begin_ends_no_run() {
    let mut world = open();
    world.expect([start_if("again", RejectDuplicate, TerminateExisting)], ["= Rejected id"]);
    assert!(world.run().status.is_open());
}

#[test]
fn g10_what_follows_a_start_that_replaces_is_for_the_new_run() {
    let mut world = open();
    let batch =
        || [signal("s9", "end"), start_if("again", AllowDuplicate, TerminateExisting), completed(1, 1)];
    let this = world.run().info.run_id;
    let [s9, again, outcome] = batch();
    world.expect(
        [s9, again, for_run(this, outcome)],
        [
            "RunTerminated replaced by a new run",
            "→ index closed [r:again]",
            "= Again",
            "= Again",
            "= Repeated",
        ],
    );
    world.entropy += 1;
    let [s9, again, _] = batch();
    let lines = world.lines(&[s9, again]);
    assert_eq!(
        lines[..4],
        ["RunStarted", "ActivityScheduled 1 a", "SignalReceived end 1", "RunCompleted null"]
    );
}

#[test]
fn a_start_behind_a_run_that_this_turn_closed_comes_after_the_commit() {
    let mut world = World::new([(On::Started, [complete("null")].into())]);
    world.expect(
        [plain("one"), plain("two")],
        ["RunStarted", "RunCompleted null", "→ index closed [r:one]", "= Absorbed", "= Again"],
    );
}

#[test]
fn signal_with_start_begins_with_the_signal() {
    let mut world = World::new([
        (On::Started, [schedule(1, "a")].into()),
        (On::Signal("hello"), [schedule(2, "b")].into()),
    ]);
    world.expect(
        [start_with_signal("start", "hello", Fail)],
        [
            "RunStarted",
            "SignalReceived hello 1",
            "ActivityScheduled 1 a",
            "ActivityScheduled 2 b",
            "→ task 1#1 at 0.0s [r:start]",
            "→ task 2#1 at 0.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
    world.expect([start_with_signal("start", "hello", Fail)], ["= Repeated"]);
}

#[test]
fn nothing_follows_the_end_of_a_run_that_signal_with_start_ended_at_once() {
    let mut world = World::new([(On::Started, [complete("null")].into())]);
    world.expect(
        [start_with_signal("start", "hello", Fail)],
        [
            "RunStarted",
            "SignalReceived hello 1",
            "RunCompleted null",
            "→ index closed [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn signal_with_start_signals_an_open_run() {
    let mut world = open();
    world.expect([start_with_signal("again", "x", UseExisting)], ["SignalReceived x 1", "= Absorbed"]);
    world.expect([start_with_signal("again", "x", UseExisting)], ["= Repeated"]);
    world.expect([start_with_signal("other", "x", Fail)], ["= Rejected id"]);
}

#[test]
fn g2_a_new_run_knows_the_requests_of_those_before_it() {
    let mut world = closed("end");
    let first = world.run().info.run_id;
    world.turn(&[plain("again")]);
    for message in [plain("start"), signal("s1", "end"), cancel("s1")] {
        world.expect([message], ["= Elsewhere"]);
    }
    assert_eq!(world.run().absorbed_request(&request("s1")), Some(first));
    // And the run after that one, too.
    world.turn(&[signal("s2", "end")]);
    world.entropy += 1;
    world.turn(&[plain("third")]);
    assert_eq!(world.run().absorbed_request(&request("s1")), Some(first));
    world.expect([plain("start"), signal("s2", "end")], ["= Elsewhere", "= Elsewhere"]);
}

#[test]
fn carried_requests_are_kept_as_long_as_a_queue_keeps_their_messages() {
    let days = |n: f64| n * 86_400.0;
    let mut world = closed("end");
    world.now = days(13.9);
    world.turn(&[plain("again")]);
    assert_eq!(world.run().carried.len(), 2); // `start` and `s1`
    world.turn(&[signal("s2", "end")]);
    world.now = days(15.0);
    world.entropy += 1;
    world.turn(&[plain("third")]);
    let kept: Vec<_> = world.run().carried.iter().map(|c| c.request_id.as_str()).collect();
    assert_eq!(kept, ["again", "s2"]);
}

#[test]
fn carried_requests_have_a_limit() {
    let mut world = open();
    let many: Vec<_> = (0..Run::MOST_CARRIED + 10).map(|i| signal(&format!("m-{i}"), "x")).collect();
    world.turn(&many);
    world.turn(&[signal("s1", "end")]);
    world.entropy += 1;
    world.turn(&[plain("again")]);
    assert_eq!(world.run().carried.len(), Run::MOST_CARRIED);
}
