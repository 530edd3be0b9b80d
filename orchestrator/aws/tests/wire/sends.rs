//! Sending to SQS, and what its refusals mean.

use millrace_engine::ports::{OutMessage, QueueError, QueueName, SendError};
use serde_json::{Value, json};

use crate::server::{ATTEMPTS, Answer, Request, Server, reply, s3, sqs};

/// Answers GetQueueUrl, and everything else by the script, which counts from the first other request.
fn queue(script: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Server {
    Server::new(
        move |n, request| {
            if request.is("GetQueueUrl") { url() } else { script(n.saturating_sub(1), request) }
        },
    )
}

fn url() -> Answer {
    reply(200, r#"{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/123456789012/mill-events"}"#)
}

fn entries(request: &Request) -> Vec<Value> {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body["Entries"].as_array().unwrap().clone()
}

/// Takes all but those that `fails` names a code and a fault for.
fn batch(request: &Request, fails: impl Fn(&str) -> Option<(&'static str, bool)>) -> Answer {
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    for entry in entries(request) {
        let (id, body) = (entry["Id"].as_str().unwrap(), entry["MessageBody"].as_str().unwrap());
        match fails(body) {
            None => taken.push(json!({"Id": id, "MessageId": id, "MD5OfMessageBody": ""})),
            Some((code, fault)) => {
                failed.push(json!({"Id": id, "Code": code, "SenderFault": fault, "Message": "so it is"}));
            }
        }
    }
    reply(200, &json!({"Successful": taken, "Failed": failed}).to_string())
}

async fn send(server: &Server, bodies: &[&str]) -> Vec<Result<(), SendError>> {
    let messages = bodies.iter().map(|body| OutMessage::now((*body).to_owned())).collect();
    server.aws().await.queues.send(&QueueName::events(), messages).await
}

fn invalid(reason: &str) -> Result<(), SendError> {
    Err(QueueError::Invalid { queue: "events".into(), reason: reason.into() })
}

fn unavailable(reason: &str) -> Result<(), SendError> {
    Err(QueueError::Unavailable { queue: "events".into(), reason: reason.into() })
}

#[tokio::test]
async fn only_what_sqs_was_at_fault_for_is_sent_again() {
    let server = queue(|n, request| {
        batch(request, |body| match body {
            "busy" if n == 0 => Some(("InternalError", false)),
            "bad" => Some(("InvalidMessageContents", true)),
            _ => None,
        })
    });
    let answers = send(&server, &["a", "busy", "bad", "b"]).await;
    assert_eq!(answers, [Ok(()), Ok(()), invalid("InvalidMessageContents: so it is"), Ok(())]);
    let sizes: Vec<_> = server.asked()[1..].iter().map(|request| entries(request).len()).collect();
    assert_eq!(sizes, [4, 1]);
}

#[tokio::test]
async fn a_message_that_sqs_never_takes_is_unavailable() {
    let server = queue(|_, request| batch(request, |body| (body == "b").then_some(("InternalError", false))));
    assert_eq!(send(&server, &["a", "b"]).await, [Ok(()), unavailable("InternalError: so it is")]);
    assert_eq!(server.asked().len(), 1 + 4);
}

#[tokio::test]
async fn one_bad_message_does_not_fail_its_batch() {
    let server = queue(|_, request| {
        let bad = entries(request).iter().any(|entry| entry["MessageBody"] == "bad");
        if bad { sqs(400, "InvalidMessageContents") } else { batch(request, |_| None) }
    });
    let answers = send(&server, &["a", "bad", "b"]).await;
    let reason = "sqs:SendMessage on mill-events: InvalidMessageContents (400): so it is";
    assert_eq!(answers, [Ok(()), invalid(reason), Ok(())]);
}

#[tokio::test]
async fn the_url_is_asked_for_once() {
    let server = queue(|_, request| batch(request, |_| None));
    let queues = server.aws().await.queues;
    for _ in 0..3 {
        let sent = queues.send(&QueueName::events(), vec![OutMessage::now("1".into())]).await;
        assert_eq!(sent, [Ok(())]);
    }
    assert_eq!(server.asked().iter().filter(|request| request.is("GetQueueUrl")).count(), 1);
}

#[tokio::test]
async fn throttling_and_trouble_are_unavailable() {
    for (answer, attempts) in [
        (sqs(400, "ThrottlingException"), ATTEMPTS),
        (sqs(400, "RequestThrottled"), ATTEMPTS),
        (sqs(403, "OverLimit"), 1),
        (sqs(500, "InternalFailure"), ATTEMPTS),
        (sqs(503, "ServiceUnavailable"), ATTEMPTS),
        (Answer::Cut, ATTEMPTS),
        (sqs(403, "ExpiredToken"), 1),
        (sqs(400, "SomethingNew"), 1),
    ] {
        let server = queue(move |_, _| answer.clone());
        let answers = send(&server, &["a", "b"]).await;
        assert!(matches!(&answers[..], [Err(QueueError::Unavailable { .. }), Err(_)]), "{answers:?}");
        assert_eq!(server.asked().len(), 1 + attempts, "{answers:?}");
    }
}

#[tokio::test]
async fn silence_is_unavailable() {
    // A request that nobody sent before its attempt was over is not seen: then once more.
    let mut asked = Vec::new();
    while asked.last() != Some(&(1 + ATTEMPTS)) {
        assert!(asked.len() < 10, "{asked:?}");
        let server = queue(|_, _| Answer::Silence).impatiently();
        let answers = send(&server, &["a", "b"]).await;
        assert!(matches!(&answers[..], [Err(QueueError::Unavailable { .. }), Err(_)]), "{answers:?}");
        asked.push(server.asked().len());
    }
}

#[tokio::test]
async fn a_denied_send_names_action_and_queue() {
    let server = queue(|_, _| sqs(403, "AccessDeniedException"));
    let reason = "sqs:SendMessage on mill-events: AccessDeniedException (403): so it is; allow sqs:SendMessage on \
                  mill-events";
    assert_eq!(send(&server, &["a"]).await, [unavailable(reason)]);
}

#[tokio::test]
async fn a_missing_queue_is_named_by_either_code() {
    let header = "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n";
    let body = no_queue("The specified queue does not exist.");
    for headers in ["", header] {
        let answer = Answer::Reply { status: 400, headers: headers.into(), body: body.clone() };
        // At the send: the URL was known, and the queue is deleted.
        let server = queue(move |_, _| answer.clone());
        let aws = server.aws().await;
        let missing = invalid("there is no such queue: mill-events in us-east-1");
        for _ in 0..2 {
            let sent = aws.queues.send(&QueueName::events(), vec![OutMessage::now("1".into()); 2]).await;
            assert_eq!(sent, [missing.clone(), missing.clone()]);
        }
        let urls = server.asked().iter().filter(|request| request.is("GetQueueUrl")).count();
        assert_eq!(urls, 2, "the URL is forgotten with the queue");
    }
}

fn no_queue(message: &str) -> String {
    json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": message}).to_string()
}

#[tokio::test]
async fn a_queue_that_may_be_there_but_denied_loses_nothing() {
    let said = "The specified queue does not exist or you do not have access to it.";
    // The permission arrives after the first request.
    let server = Server::new(move |n, request| match n {
        0 => reply(400, &no_queue(said)),
        _ if request.is("GetQueueUrl") => url(),
        _ => batch(request, |_| None),
    });
    let queues = server.aws().await.queues;
    let send = async || queues.send(&QueueName::events(), vec![OutMessage::now("1".into()); 2]).await;
    let reason = format!(
        "sqs:GetQueueUrl on mill-events: QueueDoesNotExist (400): {said}; create it in us-east-1, or allow \
         sqs:GetQueueUrl on mill-events"
    );
    assert_eq!(send().await, [unavailable(&reason), unavailable(&reason)]);
    assert_eq!(send().await, [Ok(()), Ok(())]);
}

#[tokio::test]
async fn a_large_body_that_cannot_be_stored_is_not_lost() {
    for (answer, is_invalid) in
        [(s3(503, "SlowDown"), false), (Answer::Cut, false), (s3(404, "NoSuchBucket"), true)]
    {
        let server = Server::new(move |_, request| match request.line.starts_with("PUT") {
            true => answer.clone(),
            false if request.is("GetQueueUrl") => url(),
            false => batch(request, |_| None),
        });
        let answers = send(&server, &["small", &"x".repeat(1_000_001)]).await;
        assert_eq!(answers[0], Ok(()), "the others go");
        assert_eq!(matches!(answers[1], Err(QueueError::Invalid { .. })), is_invalid, "{answers:?}");
        assert!(answers[1].is_err());
    }
}
