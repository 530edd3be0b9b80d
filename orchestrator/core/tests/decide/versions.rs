//! Runs are pinned to the version of the code that they begin with.

use millrace_core::{Blocked, Coroutine, EventKind, RunInfo, WorkflowCode, WorkflowType};

use crate::script::*;

/// Version 1 calls `old`, version 2 calls `new`; each tells which it is.
struct Versioned(&'static str);

impl WorkflowCode for Versioned {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        let called = if info.version.as_deref() == Some("1") { "old" } else { "new" };
        let rows = vec![
            (On::Started, [schedule(1, called)].into()),
            (On::Signal("again"), [continue_as_new("1")].into()),
            (On::Signal("more"), [schedule(2, called)].into()),
        ];
        Code(rows).instantiate(info)
    }

    fn version(&self, _workflow: &WorkflowType) -> Option<String> {
        Some(self.0.to_owned())
    }
}

fn version(world: &World) -> Option<String> {
    match &world.history[0].kind {
        EventKind::RunStarted(e) => e.version.clone(),
        _ => None,
    }
}

#[test]
fn a_run_goes_on_with_the_version_it_began_with_and_its_next_run_with_todays() {
    let mut world = World::with(Versioned("1"));
    let lines = world.lines(&[plain("start")]);
    assert_eq!(lines[1], "ActivityScheduled 1 old");
    world.code = Box::new(Versioned("2"));
    world.cool();
    let lines = world.lines(&[signal("s1", "more")]);
    assert_eq!(lines[..2], ["SignalReceived more 1", "ActivityScheduled 2 old"]);
    assert_eq!(version(&world).as_deref(), Some("1"));
    let lines = world.turns(&[signal("s2", "again")]);
    assert!(lines.contains(&"ActivityScheduled 1 new".to_owned()), "{lines:?}");
    assert_eq!(version(&world).as_deref(), Some("2"));
}
