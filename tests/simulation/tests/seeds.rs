//! Seeds of the fault injector. A seed decides who plays, what goes wrong, and everything that follows.
//!
//! Many: `MILLRACE_SEEDS=10000 cargo test --release -p millrace-simulation --test seeds -- --nocapture`; what else the
//! environment may say is told in `millrace_simulation::campaign`. One alone: `MILLRACE_SEED=17 cargo test -p
//! millrace-simulation --test seeds one_seed -- --nocapture`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use millrace_conformance::{Fault, Faults};
use millrace_core::Status;
use millrace_engine::ports::QueueName;
use millrace_simulation::campaign::{self, Campaign, Played};
use millrace_simulation::{World, casts};

/// What every change must pass.
const SEEDS: u64 = 200;

/// Odd worlds have large payloads, and in this one nearly all bodies go through the bucket.
const ODD: u64 = 7;

#[test]
fn g8_one_seed_twice_is_the_same_to_the_byte() {
    for cast in &casts::ALL {
        let twice = [ODD, ODD].map(|seed| World::of(seed, Faults::of_seed(seed), cast.cast()).run().unwrap());
        assert_eq!(twice[0], twice[1], "{}", cast.name);
    }
    let everything = World::new(ODD, Faults::none()).run().unwrap();
    assert!(everything.large_payloads > 5, "odd worlds have large payloads: {}", everything.large_payloads);
}

/// What can happen to an object that is put, and to one that is read.
const OF_A_PUT: [Fault; 5] =
    [Fault::PutConflict, Fault::PutBusy, Fault::PutReplyLost, Fault::PutLost, Fault::PutLate];
const OF_A_CALL: [Fault; 5] =
    [Fault::Unavailable, Fault::SlowRequest, Fault::SlowReply, Fault::CrashBefore, Fault::CrashAfter];

/// Each queue's messages do point, and there is no fault that met none of their bodies.
#[test]
fn g1_to_g11_bodies_go_through_the_bucket_and_all_faults_meet_them() {
    let all = OF_A_PUT.iter().chain(&OF_A_CALL);
    let faults = all.fold(Faults::none().seeded(ODD), |faults, fault| faults.with(*fault, 200));
    let mut bodies = BTreeMap::<QueueName, u64>::new();
    let mut met = BTreeSet::new();
    for cast in &casts::ALL {
        let Played { outcome, happened } = campaign::play(ODD, cast, faults.clone());
        for (queue, n) in outcome.unwrap().large_bodies {
            *bodies.entry(queue).or_default() += n;
        }
        for happened in happened {
            let folders = ["/message/", "/inbox-payload/"].map(|folder| happened.what.contains(folder));
            met.insert((happened.spot.fault, folders));
        }
    }
    for queue in [QueueName::inbox(), QueueName::events(), "task-cpu".into(), "task-gpu".into()] {
        assert!(bodies.get(&queue).is_some_and(|n| *n > 0), "none for {queue}: {bodies:?}");
    }
    for fault in OF_A_PUT.into_iter().chain(OF_A_CALL) {
        assert!(met.contains(&(fault, [true, false])), "{fault:?} met no body of our own");
        assert!(met.contains(&(fault, [false, true])), "{fault:?} met no body of the inbox");
    }
}

#[test]
fn each_of_a_crowd_is_asked_once_and_nobody_else() {
    let bazaar = casts::ALL.iter().find(|cast| cast.name == "bazaar").unwrap();
    let ends = bazaar.expected().unwrap();
    let end = |id: &str| (ends[id].0, ends[id].1.as_str().to_owned());
    for id in ["crowd-1", "crowd-3"] {
        assert_eq!(end(id).0, Status::Terminated);
    }
    for (id, told) in [("crowd-2", "[7]"), ("crowd-4", "[7]"), ("crowd-5", "[7]"), ("passer-by-1", "[]")] {
        assert_eq!(end(id), (Status::Completed, told.to_owned()), "{id}");
    }
}

#[test]
fn one_seed() {
    let Some(seed) = campaign::number("MILLRACE_SEED").unwrap() else { return };
    let cast = campaign::cast_from_environment().unwrap().unwrap_or_else(|| casts::of_seed(seed));
    let faults = campaign::faults_from_environment(seed).unwrap();
    match campaign::play(seed, cast, faults.clone()).outcome {
        Ok(report) => println!("{}: {report:#?}", cast.name),
        Err(why) => panic!("{why}\n{}", campaign::explain(seed, cast, &faults)),
    }
}

/// With pauses, retries at once, resets, forks, signals in order: in the end nobody can tell.
#[test]
fn g1_to_g11_every_seed_ends_as_the_faultless_world_does() {
    if campaign::number("MILLRACE_SEED").unwrap().is_some() {
        return; // It is played alone.
    }
    let summary = Campaign::from_environment(SEEDS).unwrap().run();
    println!("{summary}\n{}\n{}", summary.fault_table(), summary.cost_table());
    let Some(first) = summary.failures.first() else { return };
    let explained = campaign::explain(first.seed, first.cast, &Faults::of_seed(first.seed));
    let all: Vec<_> = summary.failures.iter().map(|failure| failure.why.as_str()).collect();
    panic!("{}\n\n{explained}", all.join("\n\n"));
}
