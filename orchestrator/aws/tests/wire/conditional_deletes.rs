//! Every answer to a conditional DELETE: what is deleted is the version that was read, or nothing.

use millrace_engine::ports::{DeleteError, ETag, StoreError};

use crate::server::{ATTEMPTS, Answer, Server, reply, s3};

async fn delete(server: &Server) -> Result<(), DeleteError> {
    server.aws().await.store.delete_if("k", &ETag("\"1\"".into())).await
}

fn is_delete(request: &crate::server::Request) -> bool {
    request.line.starts_with("DELETE /bucket/k")
}

fn store_error(result: Result<(), DeleteError>) -> StoreError {
    let Err(DeleteError::Store(error)) = result else { panic!("{result:?}") };
    error
}

#[tokio::test]
async fn the_version_is_sent() {
    let server = Server::always(reply(204, ""));
    assert_eq!(delete(&server).await, Ok(()));
    let request = server.asked().remove(0);
    assert!(is_delete(&request), "{}", request.line);
    assert!(request.headers.contains("if-match: \"1\"\r\n"), "{}", request.headers);
}

#[tokio::test]
async fn another_version_is_a_lost_race() {
    let there = Answer::Reply { status: 200, headers: "etag: \"2\"\r\n".into(), body: "x".into() };
    let server = Server::new(
        move |_, request| if is_delete(request) { s3(412, "PreconditionFailed") } else { there.clone() },
    );
    assert_eq!(delete(&server).await, Err(DeleteError::Conflict));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_object_that_is_gone_need_not_be_deleted() {
    let server = Server::always(s3(404, "NoSuchKey"));
    assert_eq!(delete(&server).await, Ok(()));
    // The first answer was lost, and what the second one compares with is gone.
    let server = Server::new(|n, request| match (n, is_delete(request)) {
        (0, _) => Answer::Cut,
        (_, true) => s3(412, "PreconditionFailed"),
        (_, false) => s3(404, "NoSuchKey"),
    });
    assert_eq!(delete(&server).await, Ok(()));
}

#[tokio::test]
async fn a_store_without_conditional_deletes_says_so_and_nothing_is_deleted_otherwise() {
    let server = Server::always(s3(501, "NotImplemented"));
    let StoreError::Invalid { key, reason } = store_error(delete(&server).await) else { panic!() };
    assert_eq!(key, "k");
    assert!(reason.contains("NotImplemented (501)") && reason.contains("no conditional deletes"), "{reason}");
    assert!(server.asked().iter().all(|request| request.headers.contains("if-match: ")));
}

#[tokio::test]
async fn whatever_is_unclear_may_be_asked_again() {
    for answer in [Answer::Cut, s3(500, "InternalError"), s3(503, "SlowDown")] {
        let server = Server::always(answer);
        let error = store_error(delete(&server).await);
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert_eq!(server.asked().len(), ATTEMPTS);
    }
    let error = store_error(delete(&Server::always(s3(409, "ConditionalRequestConflict"))).await);
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = store_error(delete(&Server::always(s3(403, "AccessDenied"))).await);
    assert!(
        error
            .to_string()
            .ends_with("allow s3:DeleteObject and, which If-Match needs, s3:GetObject on `bucket/*`"),
        "{error}"
    );
}
