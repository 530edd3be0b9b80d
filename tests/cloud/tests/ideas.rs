//! Every example of `examples/ideas` over the emulator's S3 and SQS, by the ordinary client of a deployment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use millrace_cloud_tests::bootstraps::test_binary;
use millrace_cloud_tests::in_process::Site;
use millrace_cloud_tests::processes::{bare, ends};
use millrace_ideas::{Program, codecs, programs};

const NAMESPACE: &str = "default/";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_idea_holds_on_s3_and_sqs_and_its_history_is_replayed() {
    for program in programs() {
        let Some(site) = Site::new().await else { return };
        holds(&program, &site);
        match program.name {
            "together" => large_payloads_lie_beside_their_history(&site),
            "codecs" => nothing_shows_a_value(&site),
            _ => {}
        }
    }
}

fn holds(program: &Program, site: &Site) {
    let mut command = bare(&test_binary("test-ideas"));
    let output = ends(command.arg(program.name).envs(site.environment()), 900);
    let said = String::from_utf8_lossy(&output.stdout);
    let with = |first: &str| said.lines().filter(|line| line.starts_with(first)).count();
    assert!(output.status.success() && with("failed") + with("error") == 0, "{}: {said}", program.name);
    assert_eq!(with("ok "), program.ideas.len(), "{said}");
    assert!(with("replayed ") >= program.ideas.len(), "each has started something: {said}");
    let letters = ["inbox-dead", "events-dead", "task-cpu-dead"];
    let dead: Vec<_> = letters.iter().map(|queue| site.foreign.depth(&site.queue(queue)).visible).collect();
    assert_eq!(dead, [0, 0, 0], "no dead letters of {}", program.name);
}

fn large_payloads_lie_beside_their_history(site: &Site) {
    let keys = site.foreign.keys(&site.settings.bucket, &format!("{NAMESPACE}workflow/"));
    let of_film = |key: &&String| key.contains("/film/") && key.contains("/payload/");
    assert_eq!(keys.iter().filter(of_film).count(), 1, "the same content is stored once: {keys:?}");
}

fn nothing_shows_a_value(site: &Site) {
    let keys = site.foreign.keys(&site.settings.bucket, NAMESPACE);
    let mut has_history = false;
    for key in &keys {
        let object = site.foreign.get(&site.settings.bucket, key).unwrap();
        assert_shows_no_secret(key, &String::from_utf8_lossy(&object));
        has_history |= key.ends_with("/history");
    }
    assert!(has_history, "{keys:?}");
}

fn assert_shows_no_secret(place: &str, text: &str) {
    for secret in codecs::SECRETS {
        assert!(!text.contains(secret), "{place} shows `{secret}`: {text}");
    }
}
