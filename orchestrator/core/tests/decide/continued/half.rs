//! The head of a run that continues as new and is not followed yet: the process died between the two commits. Who begins the
//! next run, and what must wait for it.

use millrace_core::{EventKind, IdConflict, IdReuse, Incoming, RunId, Status, StopChild, Verdict};

use super::hasty::hasty;
use super::{BEGINS, begins, half, open};
use crate::script::*;

/// G4: the process died between the close and the run that follows. The message that closed the run begins the next one,
/// and its redelivery does its effects again: `World` checks that after every turn.
#[test]
fn g4_the_message_that_closed_the_run_begins_the_one_that_follows() {
    for times_received in [1, 2, 1_000] {
        let mut world = half();
        assert_eq!(world.run().closed_under, Some("r:s1".parse().unwrap()));
        let message = for_run(world.run_id(), signal("s1", "next"));
        let lines = world.lines(&[Incoming { sent_at: at(-1e6), ..times(times_received, message) }]);
        assert_eq!(lines[0], "RunStarted");
        if times_received < 3 {
            assert_eq!(lines, begins("e:r:s1", "Elsewhere"));
        }
    }
    // Whatever it was that closed it.
    for (message, guard) in [(completed(1, 1), "a:1:1"), (for_run(open().run_id(), completed(1, 1)), "a:1:1")]
    {
        let mut world = open();
        world.turn(std::slice::from_ref(&message));
        world.cool();
        world.entropy += 1;
        assert_eq!(world.run().closed_under, Some(guard.parse().unwrap()));
        assert_eq!(world.lines(&[message])[0], "RunStarted");
    }
}

/// A message that the log knows may be gone from its queue, and only an outdated receipt of it be left: as the guard of the
/// next run it would never come again.
#[test]
fn g4_no_other_message_begins_the_run_that_follows() {
    let first = half().run_id();
    let stranger = RunId::from_random(99);
    let next = half().run().continued.as_ref().unwrap().new_run_id;
    let terminate_existing = IdConflict::TerminateExisting;
    for waits in [
        plain("start"),
        plain("other"),
        start_if("other", IdReuse::RejectDuplicate, terminate_existing),
        start_with_signal("s9", "x", IdConflict::UseExisting),
        start_with_update("s9", "x", IdConflict::UseExisting),
        signal("s9", "x"),
        for_run(first, signal("s9", "x")),
        for_run(next, signal("s9", "x")),
        for_run(stranger, signal("s1", "next")),
        update("s9", "x"),
        cancel("s9"),
        resume("s9"),
        pause("s9", None),
        unpause("s9", Some(1)),
        retry("s9", 1),
        stop_child(StopChild::Terminate),
        terminate("s0"),
        for_run(stranger, terminate("s9")),
        times(50, signal("s9", "x")),
    ] {
        let mut world = half_known();
        let before = world.run().clone();
        let decision = world.turn(std::slice::from_ref(&waits));
        assert_eq!((show(&decision), decision.commits()), (vec!["= Wait".into()], false), "{waits:?}");
        assert_eq!(*world.run(), before);
    }
    for (settled, verdict) in [
        (for_run(first, completed(1, 1)), Verdict::Repeated),
        (for_run(first, timer(1)), Verdict::Repeated),
        (for_run(first, wake(1)), Verdict::Repeated),
        (for_run(first, child_completed(1)), Verdict::Repeated),
        (for_run(stranger, timer(1)), Verdict::Elsewhere(stranger)),
        (for_run(stranger, wake(0)), Verdict::Elsewhere(stranger)),
        (for_run(next, completed(1, 1)), Verdict::Elsewhere(next)),
    ] {
        let mut world = half_known();
        let decision = world.turn(std::slice::from_ref(&settled));
        assert_eq!((decision.commits(), decision.verdicts), (false, vec![verdict]), "{settled:?}");
    }
}

/// A half head whose run has absorbed `s0`, a terminate that an earlier build took for another.
fn half_known() -> World {
    let mut world = open();
    world.turn(&[signal("s0", "x")]);
    world.turn(&[signal("s1", "next")]);
    world.entropy += 1;
    world.cool();
    world
}

#[test]
fn g4_the_closing_message_begins_the_next_run_wherever_it_stands_in_the_batch() {
    let others = [signal("s9", "x"), plain("other"), for_run(half().run_id(), timer(1))];
    for at in 0..=others.len() {
        let mut world = half();
        let mut batch = others.to_vec();
        batch.insert(at, signal("s1", "next"));
        let lines = world.lines(&batch);
        assert_eq!(lines[..3], BEGINS);
        assert!(lines.contains(&"SignalReceived x 1".to_owned()), "{lines:?}");
        assert!(!lines.contains(&"= Wait".to_owned()), "{lines:?}");
        let first = half().run_id();
        assert_eq!(world.guarded(&format!("e:{first}:r:s1")).len(), 3, "at {at}");
    }
}

/// The first message of the turn is its guard, and another closes the run: the guard must not be deleted.
#[test]
fn g4_the_guard_of_a_turn_that_another_message_closes_comes_again() {
    let mut world = open();
    let decision =
        world.turn(&[signal("s0", "x"), signal("s1", "next"), signal("s0", "x"), signal("s2", "x")]);
    assert_eq!(world.run().closed_under, Some("r:s0".parse().unwrap()));
    assert_eq!(decision.verdicts, vec![Verdict::Again; 4]);
    world.entropy += 1;
    world.cool();
    world.expect([signal("s1", "next"), signal("s2", "x")], ["= Wait", "= Wait"]);
    let lines = world.lines(&[signal("s0", "x"), signal("s1", "next"), signal("s2", "x")]);
    assert_eq!(lines[..3], BEGINS);
    assert!(lines.ends_with(&["= Elsewhere".into(), "= Elsewhere".into(), "= Absorbed".into()]), "{lines:?}");
    // What was absorbed beside it is done with.
    let mut world = open();
    let decision = world.turn(&[signal("s0", "x"), signal("s5", "x"), signal("s1", "next")]);
    assert_eq!(decision.verdicts, [Verdict::Again, Verdict::Absorbed, Verdict::Again]);
}

#[test]
fn g4_the_helper_s_wake_begins_the_run_that_follows_and_guards_it() {
    let mut world = half();
    let first = world.run_id();
    assert_eq!(world.lines(&[for_run(first, wake(0))]), begins("e:w:0", "Elsewhere"));
    assert_eq!(world.guarded(&format!("e:{first}:w:0")).len(), 3);
}

/// Builds before did not say which message closed the run: then any begins the next.
#[test]
fn g4_a_head_of_an_older_build_is_gone_on_with_by_whatever_comes() {
    let first = half().run_id();
    for (message, guard, verdict) in [
        (signal("s1", "next"), "e:r:s1", "Elsewhere"),
        (plain("start"), "e:r:start", "Elsewhere"),
        (for_run(first, timer(1)), "e:t:1", "Elsewhere"),
        (for_run(first, wake(1)), "e:w:1", "Elsewhere"),
        (plain("other"), "r:other", "Rejected id"),
        (resume("r"), "r:r", "Stale(\"the run is not blocked\")"),
    ] {
        let mut world = half();
        world.of_an_older_build();
        assert_eq!(world.lines(std::slice::from_ref(&message)), begins(guard, verdict), "{message:?}");
    }
    let mut world = half();
    world.of_an_older_build();
    world.expect_turns(
        [signal("s9", "x")],
        [
            BEGINS[0],
            BEGINS[1],
            BEGINS[2],
            "SignalReceived x 1",
            "→ task 1#1 at 0.0s [r:s9]",
            "→ timer 1 at 60.0s [r:s9]",
            "→ index open [r:s9]",
            "= Absorbed",
        ],
    );
}

/// What waited for the next run has been received often, and that is nothing that the code did.
#[test]
fn g9_what_waits_for_the_next_run_makes_nothing_suspect() {
    let again = start_if("again", IdReuse::default(), IdConflict::UseExisting);
    for waits in [signal("s9", "x"), again, stop_child(StopChild::Cancel), cancel("c"), update("u", "x")] {
        for (later, batched) in [(0.5, true), (100.0, true), (100.0, false), (500.0, false)] {
            let mut world = half();
            // Received after 0, 1, 3, 6, … seconds.
            let receives = |seconds: f64| {
                (1..)
                    .scan(0.0, |sum, n: u32| {
                        *sum += f64::from(n.min(10));
                        Some(*sum)
                    })
                    .take_while(|sum| *sum <= seconds)
                    .count() as u32
                    + 1
            };
            let waits = times(receives(later), waits.clone());
            world.now = later;
            if batched {
                world.turns(&[waits, signal("s1", "next")]);
            } else {
                world.turns(&[signal("s1", "next")]);
                world.turns(&[waits]);
            }
            assert!(world.history.iter().all(|event| !matches!(event.kind, EventKind::RunBlocked(_))));
        }
        // But who comes on and on after that is.
        let mut world = half();
        world.now = 1.0;
        world.turns(&[signal("s1", "next")]);
        let lines = world.turns(&[times(9, waits.clone()), signal("s7", "x")]);
        assert!(world.run().blocked.is_some() || !world.run().status.is_open(), "{waits:?} {lines:?}");
    }
}

/// An endless chain need not be met together with the message that drives it: a terminate ends it alone.
#[test]
fn g4_a_terminate_ends_the_run_that_follows_and_a_start_that_replaces_waits_for_it() {
    let without_code = ["RunStarted", "RunTerminated runaway", "→ index closed [r:t]", "= Absorbed"];
    let mut world = half();
    assert_eq!(world.lines(&[terminate("t")]), without_code);
    let mut world = hasty(u32::MAX);
    world.entropy += 1;
    assert_eq!(world.lines(&[terminate("t")]), without_code);
    world.expect([terminate("t")], ["= Repeated"]);
    world.expect([plain("start")], ["= Elsewhere"]);
    let again = start_if("again", IdReuse::default(), IdConflict::TerminateExisting);
    let mut world = half();
    world.expect([again.clone()], ["= Wait"]);
    let lines = world.turns(&[again, signal("s1", "next")]);
    assert!(lines.contains(&"RunTerminated replaced by a new run".to_owned()));
    assert_eq!(world.run().started.as_ref().unwrap().request_id, request("again"));
}

#[test]
fn g2_what_came_in_the_batch_behind_the_end_is_for_the_run_that_follows() {
    let mut world = open();
    let first = world.run_id();
    let lines = world.turns(&[
        signal("s1", "next"),
        for_run(first, signal("s2", "end")),
        for_run(first, completed(1, 1)),
        signal("s1", "next"),
    ]);
    assert_eq!(lines.iter().filter(|line| *line == "RunStarted").count(), 1, "{lines:?}");
    assert!(lines.contains(&"SignalReceived end 1".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("Rejected")), "{lines:?}");
    assert_eq!(world.run().status, Status::Completed);
}

#[test]
fn g9_a_suspect_message_begins_the_next_run_without_its_code() {
    let mut world = half();
    let first = world.run_id();
    let lines = world.lines(&[for_run(first, times(3, wake(0)))]);
    assert_eq!(
        lines,
        [
            "RunStarted",
            "RunBlocked suspect w:0",
            "→ index open [e:w:0]",
            "→ wake 1 at 1.0s [e:w:0]",
            "= Elsewhere"
        ]
    );
    let mut world = half();
    let lines = world.lines(&[times(3, signal("s1", "next"))]);
    assert_eq!(
        lines,
        [
            "RunStarted",
            "RunBlocked suspect r:s1",
            "→ index open [e:r:s1]",
            "→ wake 1 at 1.0s [e:r:s1]",
            "= Elsewhere"
        ]
    );
    world.now = 1.0;
    let run_id = world.run_id();
    let lines = world.lines(&[for_run(run_id, wake(1))]);
    assert_eq!(lines[0], "ActivityScheduled 1 a");
}

#[test]
fn g5_two_orchestrators_that_meet_a_half_head_begin_the_same_run() {
    let (mut one, mut other) = (half(), half());
    (one.entropy, other.entropy) = (11, 12);
    one.turn(&[signal("s1", "next")]);
    other.turn(&[for_run(half().run_id(), wake(0))]);
    assert_eq!(one.run_id(), other.run_id());
    // The loser's message is decided again on the winner's head, and finds nothing left to begin.
    one.cool();
    one.expect([for_run(half().run_id(), wake(0))], ["= Elsewhere"]);
}
