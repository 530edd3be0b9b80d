//! What must hold of every state that can be reached.

use std::collections::BTreeMap;

use stateright::Property;

use crate::model::Protocol;
use crate::process::Phase;
use crate::state::State;
use crate::workload::{Code, Fact};

/// No message, no process at work, no write on its way: then nothing may be left to do.
pub const QUIESCENT: &str = "quiescent means everything absorbed and sent";
/// G1.
pub const COMMITTED: &str = "no effect without a commit";
/// G2.
pub const ONCE: &str = "each fact is absorbed at most once";
/// G4: repair happens only if there is something to repair.
pub const NO_FAULT: &str = "no fault means one send per effect";
/// G4: each fault leads to one more send at most.
pub const SENDS: &str = "sends ≤ 1 + faults";
/// What is not quiescent goes on by itself.
pub const GOES_ON: &str = "nothing waits for ever";
/// The check is not empty: the workload can be brought to its end.
pub const ENDS: &str = "the end is reached";

/// All properties.
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(QUIESCENT, |model, state| !is_quiescent(model, state) || is_done(model, state)),
        Property::always(COMMITTED, |_, state| effects_are_committed(state)),
        Property::always(ONCE, |_, state| absorbed(state).into_values().all(|times| times == 1)),
        Property::always(NO_FAULT, |_, state: &State| state.faults > 0 || most_sends(state) <= 1),
        Property::always(SENDS, |_, state: &State| most_sends(state) <= 1 + state.faults),
        Property::always(GOES_ON, |model, state| {
            is_quiescent(model, state) || !model.regular(state).is_empty()
        }),
        Property::sometimes(ENDS, |model, state| is_quiescent(model, state) && is_done(model, state)),
    ]
}

fn is_quiescent(model: &Protocol, state: &State) -> bool {
    let idle = state.processes.iter().all(|process| process.phase == Phase::Idle);
    let nothing_under_way = state.queues.messages.is_empty() && state.bucket.late.is_empty();
    idle && nothing_under_way && model.regular(state).is_empty()
}

fn is_done(model: &Protocol, state: &State) -> bool {
    let was_sent = |effect| state.sent.contains_key(&effect);
    let ended = state.bucket.runs().filter(|run| run.is_closed() && run.effects().all(was_sent));
    let absorbed = absorbed(state);
    let started = (1..=model.starts).all(|request| absorbed.contains_key(&Fact::Start(request)));
    let goes_on = u8::from(model.code == Code::Continue);
    started && ended.count() == usize::from(model.starts + goes_on)
}

fn effects_are_committed(state: &State) -> bool {
    let is_recorded =
        |effect| state.bucket.runs().any(|run| run.effects().any(|recorded| recorded == effect));
    state.sent.keys().all(|effect| is_recorded(*effect))
}

/// How often each fact is in the logs.
fn absorbed(state: &State) -> BTreeMap<Fact, u8> {
    let mut times = BTreeMap::new();
    for turn in state.bucket.runs().flat_map(|run| &run.turns) {
        turn.absorbed.iter().for_each(|fact| *times.entry(*fact).or_default() += 1);
    }
    times
}

fn most_sends(state: &State) -> u8 {
    state.sent.values().copied().max().unwrap_or(0)
}
