//! Signals and cancel requests to other workflows: recorded, then sent, and sent again for a repeated guard.

use millrace_core::{Effect, Incoming, Message, RequestId, RunId, SentId};

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

/// What a run sends.
fn hello(request_id: &RequestId) -> Incoming {
    let (name, input, request_id) = ("hello".into(), payload("1"), request_id.clone());
    incoming(Message::Signal { name, input, request_id, after: None })
}

#[test]
fn a_run_may_tell_itself_something() {
    let mut world = World::started([
        (On::Started, [send_signal(1, "w-1")].into()),
        (On::Signal("hello"), [complete("null")].into()),
    ]);
    let own = RequestId::own("sent", world.run_id(), 1);
    let lines = world.lines(&[hello(&own), hello(&own)]);
    assert_eq!(lines[..2], ["SignalReceived hello 1", "RunCompleted null"]);
    assert_eq!(lines[3..], ["= Absorbed", "= Repeated"]);
    assert!(own.is_own() && !request("sent").is_own());
}

/// It waits for half a day, and none of its receives says anything of the code. But as many may be of code that kills its
/// process, so no more than a minute of the wait is forgiven, in which it is received eleven times.
#[test]
fn g9_what_a_run_sends_waits_for_half_a_day_and_a_minute_of_that_is_forgiven() {
    let (own, half_a_day) = (RequestId::own("sent", RunId::from_random(3), 1), 12.0 * 3600.0);
    for (receives, is_suspect) in [(13, false), (14, true), (330, true)] {
        let mut world = World::new([(On::Signal("hello"), [complete("null")].into())]);
        world.now = half_a_day - 1.0;
        let hello = times(receives, hello(&own));
        world.expect([hello.clone()], ["= Wait"]);
        world.turn(&[plain("start")]);
        let lines = world.lines(&[hello]);
        assert_eq!(lines.contains(&"RunCompleted null".to_owned()), !is_suspect, "{receives}: {lines:?}");
        assert_eq!(lines[1] == format!("RunBlocked suspect r:{own}"), is_suspect, "{receives}: {lines:?}");
    }
    let mut world = World::new([]);
    world.now = half_a_day;
    world.expect([times(330, hello(&own))], ["= Rejected there is no workflow `w-1`"]);
}
