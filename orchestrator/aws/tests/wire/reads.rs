//! Reading, deleting and listing objects.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_engine::ports::{ObjectStore, StoreError};

use crate::server::{ATTEMPTS, Answer, Request, Server, reply, s3};

fn object(headers: &str, body: &str) -> Answer {
    Answer::Reply { status: 200, headers: format!("etag: \"1\"\r\n{headers}"), body: body.to_owned() }
}

async fn refusal(answer: Answer) -> StoreError {
    Server::always(answer).aws().await.store.get("k").await.unwrap_err()
}

#[tokio::test]
async fn age_is_by_the_stores_clock_alone() {
    let written = "last-modified: Mon, 23 Nov 2026 08:59:00 GMT\r\n";
    for (headers, age_s) in [
        (format!("{written}date: Mon, 23 Nov 2026 09:00:30 GMT\r\n"), 90),
        (format!("{written}date: Mon, 23 Nov 2026 08:58:59 GMT\r\n"), 0),
        (written.to_owned(), 0),
    ] {
        let server = Server::always(object(&headers, "body"));
        let stored = server.aws().await.store.get("k").await.unwrap().unwrap();
        assert_eq!((stored.age, &stored.body[..]), (Duration::from_secs(age_s), &b"body"[..]));
        assert_eq!(stored.etag.0, "\"1\"");
    }
}

#[tokio::test]
async fn a_missing_key_is_none_and_a_missing_bucket_is_not() {
    let server = Server::always(s3(404, "NoSuchKey"));
    assert!(server.aws().await.store.get("k").await.unwrap().is_none());
    let reason = "there is no bucket `bucket`: NoSuchBucket (404): so it is".to_owned();
    assert_eq!(refusal(s3(404, "NoSuchBucket")).await, StoreError::Invalid { key: "k".into(), reason });
}

#[tokio::test]
async fn another_region_is_named() {
    let Answer::Reply { status, body, .. } = s3(301, "PermanentRedirect") else { return };
    let moved = Answer::Reply { status, headers: "x-amz-bucket-region: eu-west-1\r\n".into(), body };
    let StoreError::Unavailable(text) = refusal(moved).await else { panic!("it may be set right") };
    assert!(text.ends_with("the bucket is in eu-west-1: set AWS_REGION=eu-west-1"), "{text}");
    let StoreError::Unavailable(_) = refusal(s3(400, "AuthorizationHeaderMalformed")).await else {
        panic!("it may be set right")
    };
}

#[tokio::test]
async fn a_denied_read_names_both_actions() {
    let StoreError::Unavailable(text) = refusal(s3(403, "AccessDenied")).await else { panic!("not lost") };
    assert_eq!(
        text,
        "s3:GetObject on bucket `bucket`: AccessDenied (403): so it is; allow s3:GetObject on `bucket/*` and \
         s3:ListBucket on `bucket`, without which a missing key is denied"
    );
}

#[tokio::test]
async fn trouble_is_tried_again_and_then_unavailable() {
    for answer in [Answer::Cut, s3(500, "InternalError"), s3(503, "SlowDown")] {
        let server = Server::always(answer);
        let error = server.aws().await.store.get("k").await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert_eq!(server.asked().len(), ATTEMPTS);
    }
}

#[tokio::test]
async fn half_a_body_is_no_object() {
    let error = refusal(Answer::Half).await;
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("broke off")), "{error:?}");
}

#[tokio::test]
async fn deleting_what_is_not_there_is_no_error() {
    for answer in [reply(204, ""), s3(404, "NoSuchKey")] {
        assert_eq!(Server::always(answer).aws().await.store.delete("k").await, Ok(()));
    }
    let denied = Server::always(s3(403, "AccessDenied")).aws().await.store.delete("k").await;
    let text = "s3:DeleteObject on bucket `bucket`: AccessDenied (403): so it is; allow s3:DeleteObject on `bucket/*`";
    assert_eq!(denied, Err(StoreError::Unavailable(text.into())));
}

fn page(keys: &[&str], next: Option<&str>) -> Answer {
    let entry = |name: &&str| match name.ends_with('/') {
        true => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
        false => format!("<Contents><Key>{name}</Key></Contents>"),
    };
    let keys: String = keys.iter().map(entry).collect();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    let (more, next) = (next.is_some(), next.unwrap_or_default());
    let body = format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{keys}</ListBucketResult>");
    reply(200, &body)
}

#[tokio::test]
async fn an_empty_page_is_not_the_end() {
    let server = Server::new(|n, _| if n == 0 { page(&[], Some("more")) } else { page(&["a/2"], None) });
    let keys = server.aws().await.store.list("a/", Some("a/1"), None, 10).await.unwrap();
    assert_eq!(keys, ["a/2"]);
    let asked = server.asked();
    assert!(asked[0].line.contains("start-after=a%2F1"), "{}", asked[0].line);
    assert!(asked[1].line.contains("continuation-token=more"), "{}", asked[1].line);
}

#[tokio::test]
async fn a_bucket_is_listed_no_further_than_the_range() {
    let server = Server::new(|n, _| match n {
        0 => page(&["a/1", "a/2"], Some("more")),
        1 => page(&["a/3", "a/4"], Some("more")),
        _ => Answer::Cut,
    });
    let keys = server.aws().await.store.list("a/", None, Some("a/4"), 10).await.unwrap();
    assert_eq!(keys, ["a/1", "a/2", "a/3"]);
    assert_eq!(server.asked().len(), 2);
}

/// Answers as a directory bucket: pages of two names in no order, no range, folders if a delimiter is given.
fn directory(keys: &'static [&str]) -> impl Fn(usize, &Request) -> Answer {
    let session = "<CreateSessionResult><Credentials><SessionToken>t</SessionToken>\
        <SecretAccessKey>s</SecretAccessKey><AccessKeyId>a</AccessKeyId>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>";
    move |_, request| {
        if request.line.contains("session") {
            return reply(200, session);
        }
        assert!(!request.line.contains("start-after"), "{}", request.line);
        let prefix = parameter(&request.line, "prefix").unwrap_or_default();
        assert!(prefix.is_empty() || prefix.ends_with('/'), "whole folders only: {prefix}");
        let name = |key: &&str| {
            let end = key.strip_prefix(&*prefix)?.find('/').filter(|_| request.line.contains("delimiter"));
            Some(end.map_or(*key, |end| &key[..=prefix.len() + end]).to_owned())
        };
        let names: BTreeSet<String> = keys.iter().filter_map(name).collect();
        let from = parameter(&request.line, "continuation-token").map_or(0, |token| token.parse().unwrap());
        let next = (from + 2 < names.len()).then(|| (from + 2).to_string());
        let names: Vec<&str> = names.iter().rev().skip(from).take(2).map(String::as_str).collect();
        page(&names, next.as_deref())
    }
}

fn parameter(line: &str, name: &str) -> Option<String> {
    let value = line.split(['?', '&', ' ']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.replace("%2F", "/"))
}

async fn all(store: &dyn ObjectStore, prefix: &str, before: Option<&str>) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(prefix, after.as_deref(), before, 3).await.unwrap();
        let Some(last) = page.iter().max().cloned() else { return found };
        found.extend(page);
        after = Some(last);
    }
}

#[tokio::test]
async fn a_directory_bucket_is_listed_by_folder_and_sorted_here() {
    let keys = &["e", "f/1/a", "f/1/b/c", "f/1-", "f/2", "f/3/a", "f/3/b", "f/3/c", "f/3/d", "f/30", "g/1"];
    let server = Server::new(directory(keys));
    let store = server.aws_with_bucket("hist--use1-az4--x-s3").await.store;
    let mut sorted = *keys;
    sorted.sort_unstable();
    for prefix in ["", "f", "f/", "f/1", "f/3", "f/3/", "f/3/b", "none/"] {
        for before in [None, Some("f/1/b"), Some("f/2"), Some("f/3/"), Some("f/3/c"), Some("z")] {
            let in_range = |key: &&str| key.starts_with(prefix) && before.is_none_or(|before| *key < before);
            let expected: Vec<_> = sorted.into_iter().filter(in_range).collect();
            assert_eq!(all(&*store, prefix, before).await, expected, "{prefix} before {before:?}");
        }
    }
}

#[tokio::test]
async fn folders_beyond_the_range_of_a_directory_bucket_are_not_read() {
    let server = Server::new(directory(&["t/1/0/a", "t/2/0/a", "t/2/1/b", "t/3/0/a", "t/4/0/a"]));
    let store = server.aws_with_bucket("hist--use1-az4--x-s3").await.store;
    let keys = store.list("t/", Some("t/1/0/b"), Some("t/3/"), 10).await.unwrap();
    assert_eq!(keys, ["t/2/0/a", "t/2/1/b"]);
    let asked = server.asked();
    let read = asked.iter().filter(|request| request.line.contains("list-type"));
    let read: Vec<_> = read.map(|request| parameter(&request.line, "prefix").unwrap()).collect();
    assert_eq!(
        read,
        ["t/", "t/", "t/1/", "t/2/"],
        "the folder's own names, two a page, and what the range touches"
    );
}
