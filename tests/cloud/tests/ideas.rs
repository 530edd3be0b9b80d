//! Every example of `examples/ideas` over the emulator's S3 and SQS, by the ordinary client of a deployment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use millrace_cloud_tests::bootstraps::test_binary;
use millrace_cloud_tests::in_process::Site;
use millrace_cloud_tests::processes::{bare, ends};
use millrace_ideas::ideas;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_idea_holds_on_s3_and_sqs_and_its_history_is_replayed() {
    let Some(site) = Site::new().await else { return };
    let mut command = bare(&test_binary("test-ideas"));
    let output = ends(command.envs(site.environment()), 240);
    let said = String::from_utf8_lossy(&output.stdout);
    let with = |first: &str| said.lines().filter(|line| line.starts_with(first)).count();
    assert!(output.status.success() && with("failed") + with("error") == 0, "{said}");
    assert_eq!(with("ok "), ideas().len(), "{said}");
    assert!(with("replayed ") > ideas().len(), "each has started something: {said}");
    let letters = ["inbox-dead", "events-dead", "task-cpu-dead"];
    let dead: Vec<_> = letters.iter().map(|queue| site.foreign.depth(&site.queue(queue)).visible).collect();
    assert_eq!(dead, [0, 0, 0], "no dead letters");
}
