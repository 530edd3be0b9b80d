//! Signals and cancel requests to other workflows: recorded, then sent, and sent again for a repeated guard.

use millrace_core::{Effect, SentId};

use crate::script::*;

fn script() -> [Row; 3] {
    [
        (On::Started, [send_signal(1, "other"), schedule(1, "a")].into()),
        (On::Completed(1), [send_cancel(2, "other")].into()),
        (On::Signal("end"), [send_signal(3, "other"), complete("null")].into()),
    ]
}

fn sent(world: &World) -> Vec<SentId> {
    world.run().sent.keys().copied().collect()
}

#[test]
fn g1_what_is_sent_is_an_event_and_then_a_message() {
    let mut world = World::new(script());
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "SignalSent 1 hello to other",
            "ActivityScheduled 1 a",
            "→ send 1 [r:start]",
            "→ task 1#1 at 0.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
    world.expect(
        [completed(1, 1)],
        ["ActivityCompleted 1 #1 1", "CancelSent 2 to other", "→ send 2 [a:1:1]", "= Absorbed"],
    );
}

#[test]
fn g4_it_is_sent_again_for_its_guard_after_the_end_too() {
    let mut world = World::started(script());
    world.turn(&[completed(1, 1)]);
    world.expect(
        [signal("s1", "end")],
        [
            "SignalReceived end 1",
            "SignalSent 3 hello to other",
            "RunCompleted null",
            "→ send 3 [r:s1]",
            "→ index closed [r:s1]",
            "= Absorbed",
        ],
    );
    assert_eq!(world.guarded("r:start"), ["→ send 1 [r:start]"]);
    assert_eq!(world.guarded("a:1:1"), ["→ send 2 [a:1:1]"]);
    assert_eq!(world.guarded("r:s1"), ["→ send 3 [r:s1]", "→ index closed [r:s1]"]);
    assert_eq!(sent(&world), [1, 2, 3]);
}

#[test]
fn what_was_sent_for_certain_is_forgotten_and_nothing_else_is() {
    let mut world = World::started(script());
    let run = &mut world.live.as_mut().unwrap().run;
    let effects: Vec<Effect> = run.effects.values().map(|pending| pending.effect.clone()).collect();
    effects.iter().for_each(|effect| run.has_done(effect));
    assert_eq!(sent(&world), [] as [SentId; 0]);
    assert_eq!(
        world.guarded("r:start"),
        ["→ task 1#1 at 0.0s [r:start]"],
        "a task has an outcome to wait for"
    );
}

#[test]
fn g9_code_that_is_blocked_sends_once_when_it_goes_on() {
    let mut world =
        World::started([(On::Started, [schedule(1, "a")].into()), (On::Completed(1), panics("bug"))]);
    world.turn(&[completed(1, 1)]);
    world.deploy(
        "b2",
        [(On::Started, [schedule(1, "a")].into()), (On::Completed(1), [send_cancel(1, "other")].into())],
    );
    world.expect([resume("r")], ["ResumeRequested", "CancelSent 1 to other", "→ send 1 [r:r]", "= Absorbed"]);
    world.cool();
    world.expect([resume("r2")], ["= Stale(\"the run is not blocked\")"]);
}

#[test]
fn g8_another_name_or_number_is_another_call_another_receiver_is_not() {
    for (command, fits) in
        [(send_signal(1, "else"), true), (send_signal(2, "other"), false), (send_cancel(1, "other"), false)]
    {
        let mut world = World::started([(On::Started, [send_signal(1, "other")].into())]);
        world.deploy("b2", [(On::Started, [command.clone()].into())]);
        world.turn(&[signal("s1", "x")]);
        assert_eq!(world.run().blocked.is_none(), fits, "{command:?}");
    }
}

#[test]
fn a_run_may_tell_itself_something() {
    let mut world = World::started([
        (On::Started, [send_signal(1, "w-1")].into()),
        (On::Signal("hello"), [complete("null")].into()),
    ]);
    let own = millrace_core::RequestId::own("sent", world.run_id(), 1);
    let hello = incoming(millrace_core::Message::Signal {
        name: "hello".into(),
        input: payload("1"),
        request_id: own.clone(),
        after: None,
    });
    let lines = world.lines(&[hello.clone(), hello]);
    assert_eq!(lines[..2], ["SignalReceived hello 1", "RunCompleted null"]);
    assert_eq!(lines[3..], ["= Absorbed", "= Repeated"]);
    assert!(own.is_own() && !request("sent").is_own());
}
