//! Receiving, deleting and visibility.

use std::time::Duration;

use millrace_engine::ports::{Delivery, QueueError, QueueName, Receipt};
use serde_json::{Value, json};

use crate::server::{Answer, Request, Server, reply, s3, sqs};

const SECOND: Duration = Duration::from_secs(1);

fn queue(script: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Server {
    Server::new(move |n, request| match request.is("GetQueueUrl") {
        true => reply(200, r#"{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/123456789012/mill-events"}"#),
        false => script(n.saturating_sub(1), request),
    })
}

fn receipts(count: usize) -> Vec<Receipt> {
    (0..count).map(|n| Receipt(format!("r{n}"))).collect()
}

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

async fn delete(server: &Server, count: usize) -> Result<(), QueueError> {
    server.aws().await.queues.delete(&QueueName::events(), &receipts(count)).await
}

async fn change(answer: Answer, visibility: Duration) -> (Result<(), QueueError>, Value) {
    let server = queue(move |_, _| answer.clone());
    let receipt = Receipt("r".into());
    let changed =
        server.aws().await.queues.change_visibility(&QueueName::events(), &receipt, visibility).await;
    (changed, body(&server.asked()[1]))
}

#[tokio::test]
async fn a_stale_receipt_deletes_with_success() {
    for code in ["ReceiptHandleIsInvalid", "InvalidParameterValue"] {
        let server = queue(move |_, _| sqs(400, code));
        assert_eq!(delete(&server, 1).await, Ok(()));
    }
}

#[tokio::test]
async fn only_what_sqs_was_at_fault_for_is_deleted_again() {
    let server = queue(|n, request| {
        let failed = match body(request)["Entries"].as_array() {
            Some(_) if n == 0 => json!([
                {"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": true},
                {"Id": "2", "Code": "InternalError", "SenderFault": false},
            ]),
            _ => json!([]),
        };
        reply(200, &json!({"Successful": [], "Failed": failed}).to_string())
    });
    assert_eq!(delete(&server, 3).await, Ok(()));
    let asked = server.asked();
    assert!(
        asked[1].is("DeleteMessageBatch") && asked[2].is("DeleteMessage"),
        "a single one has its own call"
    );
    assert_eq!(body(&asked[2])["ReceiptHandle"], "r2");
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn what_is_never_deleted_is_said() {
    let failed = r#"{"Failed":[{"Id":"0","Code":"InternalError","SenderFault":false},
        {"Id":"1","Code":"InternalError","SenderFault":false}]}"#;
    let server = queue(move |_, _| reply(200, failed));
    let error = delete(&server, 2).await.unwrap_err();
    let text = "queue `events` is unavailable: 2 messages were not deleted: InternalError ";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn deletes_go_in_tens() {
    let server = queue(|_, _| reply(200, r#"{"Successful":[],"Failed":[]}"#));
    assert_eq!(delete(&server, 25).await, Ok(()));
    let mut sizes: Vec<_> = server.asked()[1..]
        .iter()
        .map(|request| body(request)["Entries"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
}

#[tokio::test]
async fn visibility_is_in_whole_seconds_up_to_12_hours() {
    for (asked_ms, sent) in [(0, 0), (1, 1), (1_500, 2), (90_000_000, 43_200)] {
        let (changed, request) = change(reply(200, "{}"), Duration::from_millis(asked_ms)).await;
        assert_eq!((changed, &request["VisibilityTimeout"]), (Ok(()), &json!(sent)));
    }
}

#[tokio::test]
async fn a_lapsed_receipt_is_void() {
    for code in ["MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"] {
        assert_eq!(change(sqs(400, code), SECOND).await.0, Err(QueueError::ReceiptVoid));
    }
    let header = "x-amzn-query-error: AWS.SimpleQueueService.MessageNotInflight;Sender\r\n";
    let old = Answer::Reply { status: 400, headers: header.into(), body: "{}".into() };
    assert_eq!(change(old, SECOND).await.0, Err(QueueError::ReceiptVoid));
    let (denied, _) = change(sqs(403, "AccessDenied"), SECOND).await;
    assert!(matches!(denied, Err(QueueError::Unavailable { .. })), "{denied:?}");
}

/// A server with one message, whose body points into the bucket.
fn pointing(object: Answer) -> Server {
    let pointer = format!(r#"{{"v":1,"body":"message/{:064}"}}"#, 7);
    let message = json!({"Messages": [
        {"MessageId": "m1", "ReceiptHandle": "r1", "Body": pointer,
         "Attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1700000000123"}},
        {"MessageId": "m2", "ReceiptHandle": "r2", "Body": "{}"},
    ]});
    Server::new(move |_, request| match &request.line {
        line if line.starts_with("GET") => object.clone(),
        _ if request.is("GetQueueUrl") => reply(200, r#"{"QueueUrl":"https://x/1/mill-events"}"#),
        _ => reply(200, &message.to_string()),
    })
}

async fn receive(server: &Server) -> Vec<Delivery> {
    server.aws().await.queues.receive(&QueueName::events(), 50, SECOND / 2, SECOND / 2).await.unwrap()
}

#[tokio::test]
async fn a_receive_asks_for_what_the_port_promises() {
    let server = pointing(s3(404, "NoSuchKey"));
    let received = receive(&server).await;
    let request = body(&server.asked()[1]);
    assert_eq!(request["MaxNumberOfMessages"], 10);
    assert_eq!((&request["WaitTimeSeconds"], &request["VisibilityTimeout"]), (&json!(1), &json!(1)));
    assert_eq!(request["MessageSystemAttributeNames"], json!(["ApproximateReceiveCount", "SentTimestamp"]));
    assert_eq!(request["MessageAttributeNames"], json!(["error"]));
    assert_eq!((received[0].receive_count, received[0].sent_at.as_millis()), (2, 1_700_000_000_123));
}

#[tokio::test]
async fn a_body_that_is_missing_or_wrong_is_handed_on_as_a_pointer() {
    for object in [s3(404, "NoSuchKey"), reply(200, "something else")] {
        let received = receive(&pointing(object)).await;
        assert_eq!(received.len(), 2);
        assert!(received[0].body.starts_with(r#"{"v":1,"body":"message/"#), "{received:?}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_now_leaves_its_message() {
    for object in [s3(503, "SlowDown"), s3(403, "AccessDenied"), Answer::Cut] {
        let server = pointing(object);
        let received = receive(&server).await;
        let ids: Vec<_> = received.iter().map(|delivery| delivery.message_id.as_str()).collect();
        assert_eq!(ids, ["m2"], "the others are handed on");
        assert!(!server.asked().iter().any(|request| request.is("DeleteMessage")));
    }
}
