//! Many steps through functions that really run: one after the other, and side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use millrace_cloud_tests::Stack;
use millrace_cloud_tests::bootstraps::Functions;
use millrace_cloud_tests::poll::Watch;
use serde_json::json;

#[test]
fn a_chain_of_60_and_a_fan_out_of_300_side_by_side() {
    let parameters = [("OrchestratorConcurrency", "4"), ("CpuWorkerConcurrency", "4")];
    let Some(stack) = Stack::deploy(Functions::TestApp, &parameters) else { return };
    let watch = Watch::start();
    stack.start("Chain", "chain", &json!(60));
    stack.start("FanOut", "fan", &json!(300));

    let fan = stack.closed("fan", 300);
    println!("fan-out of 300: {:.1} s", watch.elapsed().as_secs_f64());
    fan.check();
    assert_eq!(fan.result(), &json!(300 * 301 / 2));
    assert_eq!((fan.of("ActivityScheduled").len(), fan.completed()), (300, 300));

    let chain = stack.closed("chain", 300);
    println!("chain of 60: {:.1} s", watch.elapsed().as_secs_f64());
    chain.check();
    assert_eq!(chain.result(), &json!(60 * 61 / 2));
    let mut expected = vec!["RunStarted"];
    expected.extend(["ActivityScheduled", "ActivityCompleted"].repeat(60));
    expected.push("RunCompleted");
    assert_eq!(chain.types(), expected, "{}", chain.outline());

    stack.comes_to_rest(300);
    // One task for each invocation of a worker.
    let (cpu, turns) = (stack.invocations("cpu-worker", 360), stack.invocations("orchestrator", 1));
    println!("{cpu} invocations of cpu-worker, {turns} of orchestrator");
    stack.assert_no_dead_letters();
}
