//! A deployment that cannot work is told at start: a line that names the resource, and what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpListener;

use millrace_cloud_tests::bootstraps::function;
use millrace_cloud_tests::in_process::Site;
use millrace_cloud_tests::processes::{bare, ends};

/// What a process says that cannot start with these variables.
fn says(binary: &str, variables: &[(&str, &str)]) -> String {
    let output = ends(
        bare(&function(binary)).env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied()),
        60,
    );
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{binary} {variables:?}: {said}");
    println!("{binary}: {}", said.trim());
    said
}

fn check(binary: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let said = says(binary, variables);
    let line = said.lines().find(|line| expected.iter().all(|text| line.contains(text)));
    assert!(line.is_some(), "{binary}: no line has all of {expected:?}: {said}");
}

const BINARIES: [&str; 2] = ["orchestrator", "gpu-worker"];

fn deployment<'a>(endpoint: &'a str, bucket: &'a str, prefix: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("MILLRACE_BUCKET", bucket),
        ("MILLRACE_QUEUE_PREFIX", prefix),
    ]
}

/// An endpoint of this machine where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn variables_that_are_missing_or_wrong_are_named() {
    let endpoint = nobody();
    for binary in BINARIES {
        check(binary, &[], &["MILLRACE_BUCKET is not set", "set it to"]);
        let all = deployment(&endpoint, "b", "p");
        let without =
            |name: &str| all.iter().copied().filter(|(n, _)| !n.starts_with(name)).collect::<Vec<_>>();
        check(binary, &without("MILLRACE_QUEUE_PREFIX"), &["MILLRACE_QUEUE_PREFIX is not set", "set it to"]);
        check(binary, &without("AWS_REGION"), &["no AWS region is set", "set AWS_REGION"]);
        check(binary, &deployment(&endpoint, "b", "a.b"), &["MILLRACE_QUEUE_PREFIX is `a.b`"]);
    }
    let mut slots = deployment(&endpoint, "b", "p");
    slots.push(("MILLRACE_TASK_QUEUE", "a b"));
    check("gpu-worker", &slots, &["MILLRACE_TASK_QUEUE: the task queue contains"]);
}

#[test]
fn without_credentials_or_an_answer_it_says_so() {
    let endpoint = nobody();
    for binary in BINARIES {
        let all = deployment(&endpoint, "my-bucket", "my-prefix");
        check(binary, &all, &["s3:GetObject", "my-bucket", "no answer"]);
        check(binary, &all, &["sqs:GetQueueUrl", "my-prefix-events", "no answer"]);
        let anonymous: Vec<_> =
            all.into_iter().filter(|(name, _)| !name.ends_with("KEY") && !name.ends_with("_ID")).collect();
        check(binary, &anonymous, &["no AWS credentials"]);
    }
}

#[tokio::test]
async fn a_missing_bucket_or_queue_is_named_with_the_variable_to_look_at() {
    let Some(site) = Site::new().await else { return };
    let endpoint = millrace_cloud_tests::Emulator::get().unwrap().endpoint();
    let (bucket, prefix) = (site.settings.bucket.as_str(), site.settings.queue_prefix.as_str());
    for binary in BINARIES {
        let no_bucket = deployment(endpoint, "no-such-bucket", prefix);
        check(binary, &no_bucket, &["there is no bucket `no-such-bucket`", "MILLRACE_BUCKET", "us-east-1"]);
        let no_queue = deployment(endpoint, bucket, "nowhere");
        check(
            binary,
            &no_queue,
            &["there is no such queue: nowhere-events", "us-east-1", "MILLRACE_QUEUE_PREFIX"],
        );
    }
    // The site has no queue for the fleet.
    let no_task_queue = deployment(endpoint, bucket, prefix);
    check("gpu-worker", &no_task_queue, &[&format!("there is no such queue: {prefix}-task-gpu")]);
}
