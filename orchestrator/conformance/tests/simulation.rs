//! The simulation itself: one seed, one trace; and a small protocol of guards and compare-and-swap under every fault.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millrace_conformance::{Fault, Faults, Faulty, Injector, Process, Sim, Spot, Stuck, Suite};
use millrace_engine::ports::{Condition, OutMessage, Ports, PutError, QueueName, Queues as _};
use millrace_local::{Memory, QueueConfig};

const HOUR: Duration = Duration::from_secs(3600);
const MESSAGES: usize = 40;

fn ports(memory: &Arc<Memory>, process: &Process) -> Ports {
    let sim = process.sim();
    let (store, queues) = (memory.clone(), memory.clone());
    Ports { store, queues, clock: sim.clock(), entropy: sim.entropy(), spawn: process.spawner() }
}

#[test]
fn memory_conforms_in_virtual_time() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let memory = Memory::with_batch_limit(sim.clock(), 10);
        let queue = QueueName::from("task-conformance");
        memory.configure(&queue, QueueConfig { max_receive: 3 });
        let ports = ports(&memory, &sim.process("suite"));
        let suite = Suite { ports, queue, max_receive: 3, prefix: String::new() };
        let all = async move {
            suite.all().await;
            suite.void_receipts_do_nothing().await;
        };
        assert_eq!(sim.block_on(all, HOUR), Ok(()), "seed {seed}");
    }
}

/// Adds its number to the set of numbers, unless it is in it: the guard of a message is the number.
async fn absorb(ports: &Ports, number: &str) -> bool {
    let Ok(read) = ports.store.get("set").await else { return false };
    let (body, condition) = match &read {
        Some(read) => (String::from_utf8(read.body.to_vec()).unwrap(), Condition::Matches(read.etag.clone())),
        None => (String::new(), Condition::Absent),
    };
    if body.split(' ').any(|absorbed| absorbed == number) {
        return true;
    }
    match ports.store.put("set", Bytes::from(format!("{body}{number} ")), condition).await {
        Ok(_) => true,
        // Redelivery looks again.
        Err(
            PutError::Conflict | PutError::Busy | PutError::Gone | PutError::Unknown(_) | PutError::Store(_),
        ) => false,
    }
}

async fn work(ports: Ports) {
    let queue = QueueName::events();
    loop {
        let wait = Duration::from_secs(20);
        let Ok(received) = ports.queues.receive(&queue, 10, wait, Duration::from_secs(30)).await else {
            // Unavailable: not in a circle without time.
            ports.clock.sleep_until(ports.clock.now().plus(Duration::from_secs(1))).await;
            continue;
        };
        for delivery in received {
            if absorb(&ports, &delivery.body).await {
                let _ = ports.queues.delete(&queue, &[delivery.receipt]).await;
            }
        }
    }
}

fn run(seed: u64) -> (Vec<String>, u64, String) {
    let sim = Sim::new(seed);
    let memory = Memory::with_batch_limit(sim.clock(), 10);
    let injector = Injector::new(Faults::of_seed(seed).with(Fault::CrashAfter, 100));
    for name in ["worker-a", "worker-b"] {
        let (memory, injector) = (memory.clone(), injector.clone());
        sim.supervise(name, move |process| {
            let faulty = Faulty::of_process(&ports(&memory, &process), injector.clone(), &process);
            process.spawn(work(faulty));
        });
    }
    let queues = memory.clone();
    sim.process("sender").spawn(async move {
        let messages = (0..MESSAGES).map(|n| OutMessage::now(n.to_string())).collect();
        queues.send(&QueueName::events(), messages).await;
    });
    let numbers = || -> BTreeSet<String> {
        let read =
            futures::executor::block_on(millrace_engine::ports::ObjectStore::get(&*memory, "set")).unwrap();
        let body = read.map(|read| String::from_utf8(read.body.to_vec()).unwrap()).unwrap_or_default();
        body.split_whitespace().map(str::to_owned).collect()
    };
    // Idle is when all are absorbed and deleted.
    let done = || numbers().len() == MESSAGES && memory.messages_in(&QueueName::events()) == 0;
    let ended = sim.run_until(done, 14 * 24 * HOUR);
    assert_eq!(ended, Ok(()), "seed {seed}: {:?} {:?}", injector.counts(), sim.trace().last());
    sim.note(format_args!("{:?}", injector.counts()));
    let read =
        futures::executor::block_on(millrace_engine::ports::ObjectStore::get(&*memory, "set")).unwrap();
    let body = String::from_utf8(read.unwrap().body.to_vec()).unwrap();
    assert_eq!(body.split_whitespace().count(), MESSAGES, "seed {seed}: nothing is absorbed twice");
    (sim.trace(), sim.trace_hash(), body)
}

#[test]
fn one_seed_twice_is_one_trace() {
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1).1, run(2).1, "another seed is another story");
}

#[test]
fn everything_converges_under_faults() {
    (0..300).for_each(|seed| drop(run(seed)));
}

#[test]
fn every_fault_can_happen() {
    let mut rates = Faults::none().seeded(7);
    for fault in Fault::ALL {
        rates = rates.with(fault, 800);
    }
    let (sim, injector) = (Sim::new(7), Injector::new(rates));
    let memory = Memory::new(sim.clock());
    let (inner, counter) = (memory.clone(), injector.clone());
    sim.supervise("worker", move |process| {
        let faulty = Faulty::of_process(&ports(&inner, &process), injector.clone(), &process);
        let process_ports = faulty.clone();
        process.spawn(async move {
            loop {
                // New numbers, so that there is always something to put.
                let number = || process_ports.entropy.bits() % 10_000;
                let messages = (0..10).map(|_| OutMessage::now(number().to_string())).collect();
                process_ports.queues.send(&QueueName::events(), messages).await;
                process_ports
                    .clock
                    .sleep_until(process_ports.clock.now().plus(Duration::from_secs(60)))
                    .await;
            }
        });
        process.spawn(work(faulty));
    });
    // Deployments are the world's, not a process's.
    let all = || counter.counts().len() == Fault::ALL.len() - 2;
    assert_eq!(sim.run_until(all, 10 * HOUR), Ok(()), "{:?}", counter.counts());
}

#[test]
fn killed_tasks_stop_and_release_what_they_hold() {
    let sim = Sim::new(0);
    let process = sim.process("victim");
    let held = Arc::new(());
    let (holds, clock) = (held.clone(), sim.clock());
    process.spawn(async move {
        clock.sleep_until(clock.now().plus(HOUR)).await;
        drop(holds);
    });
    assert_eq!(sim.run_until(|| false, HOUR / 2), Err(Stuck::TimeOver));
    process.kill();
    assert_eq!(Arc::strong_count(&held), 1, "the task is dropped");
    assert!(!process.is_alive());
    assert_eq!(sim.run_until(|| false, HOUR), Err(Stuck::Idle), "its timer is gone, too");
}

#[test]
fn a_frozen_process_stands_still_and_goes_on_as_if_nothing_had_been() {
    let sim = Sim::new(0);
    let process = sim.process("sleeper");
    let (clock, steps) = (sim.clock(), Arc::new(AtomicU64::new(0)));
    let counted = steps.clone();
    process.spawn(async move {
        loop {
            clock.sleep_until(clock.now().plus(HOUR / 60)).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let passes = |time| assert_eq!(sim.run_until(|| false, time), Err(Stuck::TimeOver));
    passes(Duration::from_secs(1));
    let freezing = process.clone();
    process.spawn(async move { freezing.freeze(HOUR).await });
    passes(HOUR - Duration::from_secs(2));
    assert_eq!((steps.load(Ordering::Relaxed), process.freezes()), (0, 1));
    passes(HOUR);
    assert_eq!(steps.load(Ordering::Relaxed), 60, "one that was due, and one each minute since");
}

#[test]
fn a_wrong_clock_is_wrong_and_its_alarms_ring_when_it_says_so() {
    let sim = Sim::new(0);
    for (offset_ms, ppm) in [(120_000, 700), (-120_000, -700), (5, 0)] {
        let clock = sim.skewed_clock(offset_ms, ppm);
        let (asked, begin) = (clock.now().plus(HOUR), sim.clock().now());
        let (rings, shown) = (clock.sleep_until(asked), clock.clone());
        let shown = sim
            .block_on(
                async move {
                    rings.await;
                    shown.now()
                },
                2 * HOUR,
            )
            .unwrap();
        assert!(shown >= asked && shown.since(asked) < Duration::from_millis(5), "{shown} for {asked}");
        let took = sim.clock().now().since(begin).as_millis() as i64;
        let drift = took - HOUR.as_millis() as i64;
        assert!((drift * 1_000_000 / HOUR.as_millis() as i64 + ppm).abs() < 5, "{drift} ms in an hour");
    }
}

#[test]
fn a_spot_is_read_as_it_is_written() {
    let spot: Spot = "worker:1:PutLate:17".parse().unwrap();
    assert_eq!((spot.process.as_str(), spot.fault, spot.nth), ("worker:1", Fault::PutLate, 17));
    assert_eq!(spot.to_string(), "worker:1:PutLate:17");
    for bad in ["", "w:PutLate", "w:PutLate:x", "w:Puttlate:1"] {
        assert!(bad.parse::<Spot>().unwrap_err().contains("worker-1:PutLost:17"), "{bad}");
    }
}

#[test]
fn user_code_may_panic_or_be_stopped() {
    let sim = Sim::new(0);
    let spawn = sim.process("host").spawner();
    let panics = spawn.spawn(Box::pin(async { panic!("as the test asks for") }));
    assert_eq!(sim.block_on(panics, HOUR), Ok(Err("as the test asks for".to_owned())));
    let held = Arc::new(());
    let holds = held.clone();
    let endless = spawn.spawn(Box::pin(async move {
        let _holds = holds;
        std::future::pending::<()>().await;
    }));
    assert_eq!(Arc::strong_count(&held), 2);
    drop(endless);
    assert_eq!(Arc::strong_count(&held), 1, "dropping the handle stops the code");
}
