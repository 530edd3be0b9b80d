//! Runs the checker, and tells a counterexample as a list of steps.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::action::Action;
use crate::model::Protocol;
use crate::process::{Attempt, Phase, ProcessId};
use crate::properties;
use crate::state::State;

/// What a complete search has found.
pub struct Checked {
    /// States, those that are mirror images of each other counted once.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// The properties that some state does not have.
    pub violated: BTreeSet<&'static str>,
    /// Whether the end of the workload was reached.
    pub ends: bool,
}

/// Visits every state that can be reached.
pub fn check(model: Protocol, threads: usize) -> Checked {
    let checker = model.checker().threads(threads).symmetry().spawn_dfs().join();
    let mut violated: BTreeSet<&'static str> = checker.discoveries().into_keys().collect();
    let ends = violated.remove(properties::ENDS);
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    Checked { states, steps, violated, ends }
}

/// A shortest way to a state that does not have `property`, in words.
pub fn refute(model: &Protocol, property: &'static str) -> Option<Vec<String>> {
    // The checker stops some hundred states after the first that it finds, and names the last of them: so it is asked for
    // shorter ones until there is none.
    let mut shortest = search(model, property, usize::MAX)?;
    while let Some(shorter) = search(model, property, shortest.len()) {
        shortest = shorter;
    }
    let before = shortest.iter().zip(shortest.iter().skip(1));
    Some(
        before
            .filter_map(|((state, action), (next, _))| Some(narrate(state, action.as_ref()?, next)))
            .collect(),
    )
}

type Steps = Vec<(State, Option<Action>)>;

/// A way of fewer than `below` states.
fn search(model: &Protocol, property: &'static str, below: usize) -> Option<Steps> {
    let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let search = model.clone().checker().finish_when(found).target_max_depth(below);
    search.spawn_bfs().join().discovery(property).map(Path::into_vec)
}

/// A step, with what came of it.
fn narrate(state: &State, action: &Action, next: &State) -> String {
    let phase = |state: &State, process: ProcessId| state.processes[process.index()].phase.clone();
    match action {
        Action::Decide(process) => {
            let read = if state.processes[process.index()].cache.is_some() {
                "has a cached run"
            } else {
                "reads the log"
            };
            format!("{process:?} {read} and {}", decision(&phase(next, *process)))
        }
        Action::Commit(process) => match phase(next, *process) {
            Phase::Unsure(_) => format!("the PUT of {process:?} is refused"),
            _ => format!("{process:?} commits"),
        },
        Action::ReadAgain(process) if state.bucket.nonce == Some(*process) => {
            format!("{process:?} reads its own nonce: it has committed")
        }
        Action::ReadAgain(process) => {
            format!("{process:?} does not read its own nonce and {}", decision(&phase(next, *process)))
        }
        other => other.to_string(),
    }
}

fn decision(phase: &Phase) -> String {
    match phase {
        Phase::Archiving(Attempt { run, .. }) | Phase::Committing(Attempt { run, .. }) => {
            let absorbed = run.turns.last().map(|turn| &turn.absorbed);
            let absorbed: Vec<String> = absorbed.into_iter().flatten().map(ToString::to_string).collect();
            format!("decides to absorb {}", absorbed.join(" and "))
        }
        Phase::Settling(settling) if settling.effects.is_empty() => "finds nothing to do".into(),
        Phase::Settling(settling) => {
            let effects: Vec<String> = settling.effects.iter().map(ToString::to_string).collect();
            format!("finds it absorbed; {} must be sent again", effects.join(" and "))
        }
        _ => "gives its messages back".into(),
    }
}
