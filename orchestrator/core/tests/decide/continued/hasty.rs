//! Runs that continue as new in the very turn that began them.

use std::time::Duration;

use millrace_core::{Blocked, Coroutine, Event, EventKind, RunId, RunInfo, Runaway, Verdict, WorkflowCode};

use crate::script::*;

/// A run that continues as new at its very start: each of the turns begins one run and closes it.
pub(super) fn hasty(times: u32) -> World {
    let code = Hasty { until: times };
    let mut world = World::with(code);
    world.turn(&[plain("start")]);
    world
}

/// Continues as new until its input says that it has done so often enough; then it waits for a signal and ends.
pub(super) struct Hasty {
    pub(super) until: u32,
}

impl WorkflowCode for Hasty {
    fn instantiate(&self, _: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::new(Self { until: self.until }))
    }
}

impl Coroutine for Hasty {
    fn resume(&mut self, event: &Event) -> Result<Vec<millrace_core::Command>, Blocked> {
        Ok(match &event.kind {
            EventKind::RunStarted(e) => match e.input.read::<Option<u32>>().unwrap().unwrap_or(0) {
                n if n == self.until => vec![],
                n => vec![continue_as_new(&(n + 1).to_string())],
            },
            EventKind::SignalReceived(_) => vec![complete("null")],
            _ => vec![],
        })
    }
}

/// A run that the turn itself began continues as new: the message must come again, whatever became of it, or nobody ever
/// begins the next one.
#[test]
fn g4_a_run_that_continues_as_new_in_the_turn_that_began_it_is_gone_on_with() {
    let first = hasty(4).run_id();
    for (message, is_old) in [
        (plain("start"), false),
        (for_run(first, wake(0)), false),
        (plain("start"), true),
        (for_run(first, timer(1)), true),
        (for_run(first, completed(1, 1)), true),
        (for_run(RunId::from_random(99), wake(1)), true),
        (plain("other"), true),
        (resume("r"), true),
        (update("u", "x"), true),
        (cancel("c"), true),
    ] {
        let mut world = hasty(4);
        if is_old {
            world.of_an_older_build();
        }
        world.entropy += 1;
        let mut lines = world.turns(std::slice::from_ref(&message));
        assert_eq!(world.run().started.as_ref().unwrap().input.as_str(), "4", "{message:?} {lines:?}");
        assert!(world.run().status.is_open());
        lines.retain(|line| line.starts_with("RunContinuedAsNew"));
        assert_eq!(lines, ["RunContinuedAsNew 2", "RunContinuedAsNew 3", "RunContinuedAsNew 4"]);
    }
}

/// The process dies after every turn: the message is looked up where its pin or the chain's log says, and goes on.
#[test]
fn g4_a_chain_that_closes_as_it_begins_is_gone_on_with_after_every_crash() {
    for message in [plain("start"), for_run(hasty(4).run_id(), wake(0))] {
        let mut world = hasty(4);
        for round in 2..=5 {
            world.entropy += 1;
            world.cool();
            world.expect([signal("s9", "x")], ["= Wait"]);
            let decision = world.turn(std::slice::from_ref(&message));
            assert!(decision.replaces.is_some(), "{round}");
            let goes_on = if round < 5 { Verdict::Again } else { Verdict::Elsewhere(hasty(4).run_id()) };
            assert_eq!(decision.verdicts, [goes_on], "{round}");
            assert_eq!(world.run().closed_under.is_some(), round < 5);
        }
        assert!(world.run().status.is_open());
        world.expect([message], ["= Elsewhere"]);
        world.expect(
            [signal("s9", "x")],
            ["SignalReceived x 1", "RunCompleted null", "→ index closed [r:s9]", "= Absorbed"],
        );
    }
}

#[test]
fn g9_an_endless_chain_without_input_is_held_as_runaway() {
    let limit = Runaway { turns: 6, within: Duration::from_secs(60) };
    let mut world = World::with(Hasty { until: u32::MAX });
    world.runaway = Some(limit);
    let lines = world.turns(&[plain("start")]);
    let continued = lines.iter().filter(|line| line.starts_with("RunContinuedAsNew")).count();
    assert!((3..=7).contains(&continued), "{lines:?}");
    assert!(lines.contains(&"RunBlocked runaway until 60.0s".to_owned()), "{lines:?}");
    assert!(world.run().blocked.is_some() && world.run().status.is_open());
    // The wake gives it as many turns again, and no more.
    world.now = 60.0;
    let held = world.run_id();
    let lines = world.turns(&[for_run(held, wake(1))]);
    let again = lines.iter().filter(|line| line.starts_with("RunContinuedAsNew")).count();
    assert!((3..=7).contains(&again), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("RunBlocked runaway until 120")), "{lines:?}");
}

#[test]
fn g9_a_request_from_outside_that_names_the_first_run_frees_a_held_chain() {
    let mut world = World::with(Hasty { until: 20 });
    world.runaway = Some(Runaway { turns: 3, within: Duration::from_secs(60) });
    world.turns(&[plain("start")]);
    assert!(world.run().blocked.is_some());
    let first = world.run().started.as_ref().unwrap().first_run_id.unwrap();
    world.turn(&[for_run(first, signal("s1", "x"))]);
    assert!(world.run().blocked.is_none());
}
