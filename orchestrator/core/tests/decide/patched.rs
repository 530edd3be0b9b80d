//! Changes of code while runs are open: a patch is asked for once, recorded, and answered alike in every replay.

use std::collections::BTreeMap;

use millrace_core::{Blocked, Command, Coroutine, Event, EventKind, RunInfo, WorkflowCode};

use crate::script::*;

fn patch(name: &str) -> Command {
    Command::Patch(name.into())
}

/// Code that asks for a patch as a host does: once, by what the history says in a replay and the new way beyond it.
#[derive(Clone, Default)]
struct Author {
    /// What the signal `go` leads to: with a patch in between, if it has a name.
    patch: Option<&'static str>,
    /// Only the new way is left.
    finished: bool,
    known: Vec<String>,
    asked: BTreeMap<&'static str, bool>,
    replaying: bool,
    calls: u64,
}

impl WorkflowCode for Author {
    fn instantiate(&self, _: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::new(self.clone()))
    }
}

impl Coroutine for Author {
    fn patched(&mut self, patches: &[String]) {
        self.known = patches.to_vec();
    }

    fn replaying(&mut self, yes: bool) {
        self.replaying = yes;
    }

    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        let EventKind::SignalReceived(signal) = &event.kind else { return Ok(vec![]) };
        let mut commands = vec![];
        let mut new = self.finished;
        if let Some(name) = self.patch {
            let first = !self.asked.contains_key(name);
            let known = self.known.iter().any(|patch| patch == name);
            new = *self.asked.entry(name).or_insert(known || !self.replaying);
            if first && new {
                commands.push(patch(name));
            }
        }
        self.calls += 1;
        let activity = if new { "new" } else { "old" };
        commands.push(schedule(self.calls, activity));
        if signal.name == "end" {
            commands.push(complete("null"));
        }
        Ok(commands)
    }
}

fn world(code: &Author) -> World {
    let mut world = World::with(code.clone());
    world.turn(&[plain("start")]);
    world
}

fn deploy(world: &mut World, build: &'static str, code: &Author) {
    world.code = Box::new(code.clone());
    world.build = build;
    world.cool();
}

fn old() -> Author {
    Author::default()
}

fn changed() -> Author {
    Author { patch: Some("p"), ..Author::default() }
}

fn finished() -> Author {
    Author { finished: true, ..Author::default() }
}

#[test]
fn a_run_that_meets_the_change_first_takes_the_new_way_and_says_so_once() {
    let mut world = world(&changed());
    world.expect(
        [signal("s1", "go")],
        [
            "SignalReceived go 1",
            "Patched p",
            "ActivityScheduled 1 new",
            "→ task 1#1 at 0.0s [r:s1]",
            "= Absorbed",
        ],
    );
    world.cool(); // the replay takes the same way
    let lines = world.lines(&[signal("s2", "go")]);
    assert_eq!(lines[..2], ["SignalReceived go 1", "ActivityScheduled 2 new"]);
}

#[test]
fn g8_a_run_that_passed_the_place_before_the_change_keeps_the_old_way() {
    let mut world = world(&old());
    world.turn(&[signal("s1", "go")]);
    deploy(&mut world, "b2", &changed());
    let lines = world.lines(&[signal("s2", "go")]);
    assert_eq!(lines[..2], ["SignalReceived go 1", "ActivityScheduled 2 old"]);
    for _ in 0..3 {
        world.cool();
        world.turn(&[signal("s2", "go")]);
        assert!(world.run().blocked.is_none());
    }
}

#[test]
fn a_run_that_has_not_come_to_the_place_takes_the_new_way() {
    let mut world = world(&old());
    deploy(&mut world, "b2", &changed());
    let lines = world.lines(&[signal("s1", "go")]);
    assert_eq!(lines[..3], ["SignalReceived go 1", "Patched p", "ActivityScheduled 1 new"]);
}

#[test]
fn a_change_is_finished_by_code_that_no_longer_asks() {
    let mut world = world(&changed());
    world.turn(&[signal("s1", "go")]);
    deploy(&mut world, "b2", &finished());
    let lines = world.lines(&[signal("s2", "go")]);
    assert_eq!(lines[..2], ["SignalReceived go 1", "ActivityScheduled 2 new"]);
    assert!(world.run().blocked.is_none());
}

#[test]
fn g9_a_change_that_was_finished_too_soon_or_taken_back_blocks_the_run() {
    for (before, after, got) in [
        (
            old(),
            finished(),
            "at event 3 expected ActivityScheduled `old` (activity 1) got ActivityScheduled `new` (activity 1)",
        ),
        (
            changed(),
            old(),
            "at event 4 expected ActivityScheduled `new` (activity 1) got ActivityScheduled `old` (activity 1)",
        ),
    ] {
        let mut world = world(&before);
        world.turn(&[signal("s1", "go")]);
        deploy(&mut world, "b2", &after);
        let lines = world.lines(&[signal("s2", "x")]);
        assert_eq!(lines[1], format!("RunBlocked {got}"));
        deploy(&mut world, "b3", &before);
        world.turn(&[resume("r")]);
        assert!(world.run().blocked.is_none());
    }
}

#[test]
fn g9_facts_of_a_blocked_run_that_were_never_replayed_are_old_to_the_code() {
    let mut world = world(&old());
    world.turn(&[times(3, signal("s1", "go"))]);
    assert!(world.run().blocked.is_some());
    deploy(&mut world, "b2", &changed());
    world.now = 1.0;
    let lines = world.lines(&[wake(1)]);
    assert_eq!(lines[0], "ActivityScheduled 1 old", "it is the same in every replay from now on");
    world.cool();
    world.turn(&[signal("s2", "go")]);
    assert!(world.run().blocked.is_none());
}

#[test]
fn g8_marks_that_nobody_asks_for_are_skipped_wherever_they_stand() {
    let script = |marks: bool| {
        let mark = |name: &str| marks.then(|| patch(name));
        let start =
            [mark("a"), Some(schedule(1, "x")), mark("b"), mark("c"), Some(schedule(2, "y")), mark("d")];
        let start: Vec<Command> = start.into_iter().flatten().collect();
        [(On::Started, Do::Ask(start)), (On::Signal("go"), [schedule(3, "z")].into())]
    };
    let mut world = World::started(script(true));
    world.deploy("b2", script(false));
    let lines = world.lines(&[signal("s1", "go")]);
    assert_eq!(lines[..2], ["SignalReceived go 1", "ActivityScheduled 3 z"]);
    // But a mark that is asked for is a command like any other: it cannot be asked for where the history has none.
    world.deploy("b3", script(true));
    world.turn(&[signal("s2", "x")]);
    assert!(world.run().blocked.is_none());
    let mut world = World::started(script(false));
    world.deploy("b2", script(true));
    let lines = world.lines(&[signal("s1", "x")]);
    assert!(lines[1].contains("expected ActivityScheduled `x` (activity 1) got Patched `a`"), "{lines:?}");
}

#[test]
fn g4_a_turn_that_records_nothing_but_a_mark_repairs_nothing() {
    let mut world = World::started([(On::Signal("go"), [patch("p")].into())]);
    world.expect([signal("s1", "go")], ["SignalReceived go 1", "Patched p", "= Absorbed"]);
    world.expect([signal("s1", "go")], ["= Repeated"]);
    world.cool();
    world.expect([signal("s2", "x")], ["SignalReceived x 1", "= Absorbed"]);
}
