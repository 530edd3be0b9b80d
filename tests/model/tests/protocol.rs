//! The protocol passes, whatever happens; without any one of its rules it does not (G1, G2, G4, G5, G7, G12).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

use millrace_model::properties::{COMMITTED, NO_FAULT, ONCE, QUIESCENT, SENDS};
use millrace_model::report::{check, refute};
use millrace_model::{Code, FaultKind, Protocol, Variant};

use FaultKind::{Crash, Duplicate, Lapse, PutLate, ReplyLost};

fn one(faults: u8) -> Protocol {
    Protocol::new("one activity", Code::One, faults)
}

fn chain(faults: u8) -> Protocol {
    Protocol::new("A, then B", Code::Chain, faults)
}

fn pair(faults: u8) -> Protocol {
    Protocol { batch: 2, ..Protocol::new("A beside B, batches of two", Code::Pair, faults) }
}

fn fan(faults: u8) -> Protocol {
    Protocol { batch: 2, ..Protocol::new("A, then C, beside B, batches of two", Code::Fan, faults) }
}

fn reuse(faults: u8) -> Protocol {
    Protocol { starts: 2, ..Protocol::new("a second run of the id", Code::One, faults) }
}

fn continued(faults: u8) -> Protocol {
    Protocol { batch: 2, ..Protocol::new("continue as new, batches of two", Code::Continue, faults) }
}

fn eager(faults: u8) -> Protocol {
    Protocol { eager: true, ..Protocol::new("eager turns, A then B", Code::Chain, faults) }
}

fn eager_chain(faults: u8) -> Protocol {
    Protocol { eager: true, ..Protocol::new("eager turns, A then B then C", Code::LongChain, faults) }
}

fn kinds_of(model: &Protocol) -> String {
    if model.kinds == FaultKind::ALL {
        return "any".into();
    }
    model.kinds.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", ")
}

fn numbered(way: &[String]) -> String {
    way.iter().enumerate().map(|(n, step)| format!("{:>4}. {step}\n", n + 1)).collect()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long a search takes is printed; nothing depends on it")]
fn the_protocol_holds_in_every_state() {
    let configurations = [
        one(3),
        chain(2),
        Protocol { kinds: &[Crash, Lapse], ..chain(3) },
        Protocol { kinds: &[Crash, ReplyLost, PutLate], ..chain(3) },
        pair(2),
        fan(1),
        reuse(2),
        Protocol { kinds: &[Crash, ReplyLost, PutLate], ..reuse(3) },
        continued(2),
        eager(2),
        eager_chain(2),
    ];
    let mut table =
        format!("{:<36} {:<28} {:>9} {:>10} {:>7}\n", "configuration", "faults", "states", "steps", "time");
    let mut all = 0;
    for model in configurations {
        let (name, faults) = (model.name, format!("{}: {}", model.faults, kinds_of(&model)));
        let begun = Instant::now();
        let checked = check(model.clone(), 2);
        let seconds = begun.elapsed().as_secs_f64();
        let (states, steps) = (checked.states, checked.steps);
        writeln!(table, "{name:<36} {faults:<28} {states:>9} {steps:>10} {seconds:>6.1}s").unwrap();
        if let Some(property) = checked.violated.first() {
            panic!("{name}: not true that {property}\n{}", numbered(&refute(&model, property).unwrap()));
        }
        assert!(checked.ends, "{name}: the workload never ends");
        all += states;
    }
    println!("{table}{all} states, and each of them has all properties.\n");
}

#[test]
fn without_any_one_rule_it_is_refuted() {
    let refuted = [
        (Variant::DispatchBeforeCommit, one(0), COMMITTED),
        (Variant::AcknowledgeBeforeDispatch, one(1), QUIESCENT),
        (Variant::OnlyTheLastTurn, fan(1), QUIESCENT),
        (Variant::OnlyIfReceivedBefore, one(1), QUIESCENT),
        (Variant::NothingToDoByTheCache, chain(0), QUIESCENT),
        (Variant::OldRunsUnchecked, reuse(1), QUIESCENT),
        (Variant::BegunRunUnchecked, continued(1), QUIESCENT),
        (Variant::AnybodyGoesOn, continued(2), QUIESCENT),
        (Variant::EagerGuardOfTheHeldTask, eager(2), QUIESCENT),
        (Variant::EagerGuardOfTheOutcome, eager(1), QUIESCENT),
        (Variant::EagerGuardsOfBothEnds, Protocol { kinds: &[Crash, Lapse], ..eager_chain(2) }, QUIESCENT),
        (Variant::EarlierStartsForgotten, reuse(1), ONCE),
        (Variant::RepairPerCopy, Protocol { batch: 2, kinds: &[Crash, Duplicate], ..one(3) }, SENDS),
        (Variant::ReplacingSendsAgain, reuse(0), NO_FAULT),
    ];
    let covered: Vec<Variant> = refuted.iter().map(|(variant, ..)| *variant).collect();
    assert_eq!(covered, Variant::BROKEN, "each broken rule has its line");
    let (mut table, mut ways) =
        (format!("{:<56} {:<44} {:>5}\n", "without the rule", "fails", "steps"), String::new());
    for (variant, model, property) in refuted {
        let name = variant.name();
        let model = model.without(variant);
        let Some(way) = refute(&model, property) else { panic!("not refuted: {name}") };
        writeln!(table, "{name:<56} {property:<44} {:>5}", way.len()).unwrap();
        writeln!(ways, "{name}: not true that {property}").unwrap();
        ways += &numbered(&way);
    }
    println!("{ways}\n{table}");
}

/// Both send more often than they must, and that is all that is wrong with them (G6).
#[test]
fn to_send_too_often_loses_nothing() {
    let more_sends = BTreeSet::from([NO_FAULT, SENDS]);
    for model in [
        Protocol { batch: 2, kinds: &[Crash, Duplicate], ..one(3) }.without(Variant::RepairPerCopy),
        reuse(1).without(Variant::ReplacingSendsAgain),
    ] {
        let violated = check(model, 1).violated;
        assert!(!violated.is_empty() && violated.is_subset(&more_sends), "{violated:?}");
    }
}
