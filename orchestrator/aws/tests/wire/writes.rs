//! G5: every answer to a conditional PUT says what to do next.

use bytes::Bytes;
use millrace_engine::ports::{Condition, ETag, PutError, StoreError};

use crate::server::{ATTEMPTS, Answer, Server, reply, s3};

async fn put(server: &Server, condition: Condition) -> Result<ETag, PutError> {
    server.aws().await.store.put("k", Bytes::from_static(b"x"), condition).await
}

fn matches() -> Condition {
    Condition::Matches(ETag("\"1\"".into()))
}

fn written() -> Answer {
    Answer::Reply { status: 200, headers: "etag: \"2\"\r\n".into(), body: String::new() }
}

fn unavailable(result: Result<ETag, PutError>) -> String {
    let Err(PutError::Store(StoreError::Unavailable(text))) = result else { panic!("{result:?}") };
    text
}

fn unknown(result: Result<ETag, PutError>) -> String {
    let Err(PutError::Unknown(text)) = result else { panic!("{result:?}") };
    text
}

#[tokio::test]
async fn the_condition_is_sent_and_nothing_but_the_body() {
    for (condition, header) in [
        (Condition::Always, None),
        (Condition::Absent, Some("if-none-match: *\r\n")),
        (matches(), Some("if-match: \"1\"\r\n")),
    ] {
        let server = Server::always(written());
        assert_eq!(put(&server, condition).await, Ok(ETag("\"2\"".into())));
        let request = server.asked().remove(0);
        assert!(request.line.starts_with("PUT /bucket/k"), "{}", request.line);
        let conditions: Vec<_> = request.headers.lines().filter(|line| line.starts_with("if-")).collect();
        assert_eq!(conditions, header.map(str::trim_end).into_iter().collect::<Vec<_>>());
        assert!(!request.headers.contains("checksum") && !request.headers.contains("aws-chunked"));
        assert_eq!(request.body, "x");
    }
}

#[tokio::test]
async fn verdicts_are_not_asked_for_twice() {
    for (answer, condition, error) in [
        (s3(412, "PreconditionFailed"), matches(), PutError::Conflict),
        (s3(412, "PreconditionFailed"), Condition::Absent, PutError::Conflict),
        (s3(409, "ConditionalRequestConflict"), matches(), PutError::Busy),
        (s3(409, "OperationAborted"), Condition::Absent, PutError::Busy),
        (s3(404, "NoSuchKey"), matches(), PutError::Gone),
    ] {
        let server = Server::always(answer);
        assert_eq!(put(&server, condition).await, Err(error));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_lost_reply_is_unknown() {
    for answer in [Answer::Cut, s3(500, "InternalError"), reply(503, "<html>busy</html>")] {
        let server = Server::always(answer);
        unknown(put(&server, matches()).await);
        assert_eq!(server.asked().len(), ATTEMPTS);
    }
    // A request that nobody sent before its attempt was over is not seen: then once more.
    let mut asked = Vec::new();
    while asked.last() != Some(&ATTEMPTS) {
        assert!(asked.len() < 10, "{asked:?}");
        let server = Server::always(Answer::Silence).impatiently();
        unknown(put(&server, matches()).await);
        asked.push(server.asked().len());
    }
}

#[tokio::test]
async fn the_own_first_write_is_met_as_a_conflict() {
    let server = Server::new(|n, _| if n == 0 { Answer::Cut } else { s3(412, "PreconditionFailed") });
    assert_eq!(put(&server, matches()).await, Err(PutError::Conflict), "the engine looks for its nonce");
}

#[tokio::test]
async fn slow_down_is_certain_unless_an_earlier_attempt_is_not() {
    let server = Server::always(s3(503, "SlowDown"));
    let text = unavailable(put(&server, matches()).await);
    assert_eq!(text, "s3:PutObject on bucket `bucket`: SlowDown (503): so it is");
    assert_eq!(server.asked().len(), ATTEMPTS);
    for first in [Answer::Cut, Answer::Silence, s3(500, "InternalError")] {
        let server = Server::new(move |n, _| if n == 0 { first.clone() } else { s3(503, "SlowDown") });
        unknown(put(&server.impatiently(), matches()).await);
    }
    let server = Server::new(|n, _| if n == 0 { Answer::Cut } else { s3(403, "AccessDenied") });
    unknown(put(&server, matches()).await);
}

#[tokio::test]
async fn slow_down_passes() {
    let server = Server::new(|n, _| if n < 2 { s3(503, "SlowDown") } else { written() });
    assert_eq!(put(&server, matches()).await, Ok(ETag("\"2\"".into())));
}

#[tokio::test]
async fn lapsed_credentials_and_policies_lose_nothing() {
    for (status, code) in [
        (400, "ExpiredToken"),
        (403, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
        (403, "InvalidAccessKeyId"),
    ] {
        let text = unavailable(put(&Server::always(s3(status, code)), matches()).await);
        assert_eq!(text, format!("s3:PutObject on bucket `bucket`: {code} ({status}): so it is"));
    }
    let text = unavailable(put(&Server::always(s3(403, "AccessDenied")), matches()).await);
    assert_eq!(
        text,
        "s3:PutObject on bucket `bucket`: AccessDenied (403): so it is; allow s3:PutObject and, which If-Match \
         needs, s3:GetObject on `bucket/*`"
    );
}

#[tokio::test]
async fn what_never_works_is_invalid() {
    for (answer, condition) in [
        (s3(404, "NoSuchBucket"), Condition::Absent),
        (s3(404, "NoSuchBucket"), matches()),
        (s3(400, "KeyTooLongError"), Condition::Absent),
        (s3(400, "EntityTooLarge"), Condition::Absent),
    ] {
        let result = put(&Server::always(answer), condition).await;
        assert!(matches!(result, Err(PutError::Store(StoreError::Invalid { .. }))), "{result:?}");
    }
}
