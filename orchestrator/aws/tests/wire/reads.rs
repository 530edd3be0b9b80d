//! Reading, deleting and listing objects.

use std::time::Duration;

use millrace_engine::ports::{ObjectStore, StoreError};

use crate::server::{ATTEMPTS, Answer, Server, reply, s3};

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
    let keys: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    let (more, next) = (next.is_some(), next.unwrap_or_default());
    let body = format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{keys}</ListBucketResult>");
    reply(200, &body)
}

#[tokio::test]
async fn an_empty_page_is_not_the_end() {
    let server = Server::new(|n, _| if n == 0 { page(&[], Some("more")) } else { page(&["a/2"], None) });
    let keys = server.aws().await.store.list("a/", Some("a/1"), 10).await.unwrap();
    assert_eq!(keys, ["a/2"]);
    let asked = server.asked();
    assert!(asked[0].line.contains("start-after=a%2F1"), "{}", asked[0].line);
    assert!(asked[1].line.contains("continuation-token=more"), "{}", asked[1].line);
}

async fn all(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(prefix, after.as_deref(), 2).await.unwrap();
        let Some(last) = page.iter().max().cloned() else { return found };
        found.extend(page);
        after = Some(last);
    }
}

#[tokio::test]
async fn a_directory_bucket_is_listed_by_folder_and_sorted_here() {
    let session = "<CreateSessionResult><Credentials><SessionToken>t</SessionToken>\
        <SecretAccessKey>s</SecretAccessKey><AccessKeyId>a</AccessKeyId>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>";
    let server = Server::new(move |_, request| match &request.line {
        line if line.contains("session") => reply(200, session),
        line if line.contains("continuation-token=more") => page(&["f/b1", "f/c", "f/b3"], None),
        _ => page(&["f/b4", "f/a", "f/b2"], Some("more")),
    });
    let aws = server.aws_with_bucket("hist--use1-az4--x-s3").await;
    assert_eq!(all(&*aws.store, "f/b").await, ["f/b1", "f/b2", "f/b3", "f/b4"]);
    assert_eq!(all(&*aws.store, "f/").await, ["f/a", "f/b1", "f/b2", "f/b3", "f/b4", "f/c"]);
    for request in server.asked().iter().filter(|request| request.line.contains("list-type")) {
        assert!(request.line.contains("prefix=f%2F") && !request.line.contains("f%2Fb"), "{}", request.line);
        assert!(!request.line.contains("start-after"), "{}", request.line);
    }
}
