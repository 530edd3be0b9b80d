//! Programs made by chance, with faults, against a naive interpreter: what a history records is what its facts ask for, and
//! the result is the one that they lead to. `MILLRACE_PROGRAMS=10000 cargo test --release -p millrace-simulation --test
//! differential -- --nocapture`; one alone: `MILLRACE_PROGRAM=17 …`.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};

use millrace::Workflow;
use millrace_conformance::{Faults, Rng};
use millrace_simulation::programs::{self, InterpretedWorkflow, Program};
use millrace_simulation::{Cast, Report, World, reference};
use serde_json::json;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn cast(rng: &mut Rng, program: &Program) -> Cast {
    let (id, workflow) = ("program", InterpretedWorkflow::NAME);
    let start = json!({"type": "start", "workflow": workflow, "id": id, "input": program, "request_id": "s"});
    let mut requests = vec![(rng.below(5), start)];
    for slot in 1..=program.slots() {
        let (at, tell) = (rng.below(900), json!({ "slot": slot, "value": slot * 100 }));
        let request_id = format!("tell-{slot}");
        requests.push((
            at,
            json!({"type": "signal", "id": id, "name": "tell", "input": tell, "request_id": request_id}),
        ));
    }
    if rng.below(4) == 0 {
        let at = rng.below(600);
        requests.push((at, json!({"type": "cancel", "id": id, "reason": "enough", "request_id": "cancel"})));
    }
    Cast {
        app: programs::app,
        ids: vec![id.into()],
        requests,
        may_be_late: true,
        examine: reference::difference,
        ..Cast::default()
    }
}

fn run(seed: u64) -> Report {
    let mut rng = Rng::new(seed);
    let program = Program::random(&mut rng, 4);
    let cast = cast(&mut rng, &program);
    let again = format!(
        "MILLRACE_PROGRAM={seed} cargo test -p millrace-simulation --test differential -- --nocapture"
    );
    let about = format!("program {seed}: {}\n  {again}", json!(program));
    let report =
        World::of(seed, Faults::of_seed(seed), cast).run().unwrap_or_else(|why| panic!("{why}\n{about}"));
    assert!(report.violations.is_empty(), "{:#?}\n{about}", report.violations);
    report
}

#[test]
fn one_program() {
    let Some(seed) = variable("MILLRACE_PROGRAM") else { return };
    println!("{:#?}", run(seed));
}

#[test]
fn g8_every_program_does_what_the_naive_interpreter_says() {
    let programs = variable("MILLRACE_PROGRAMS").unwrap_or(200);
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > programs {
                        return;
                    }
                    run(seed);
                }
            });
        }
    });
    println!("{programs} programs");
}
