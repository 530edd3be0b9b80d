//! Reading any bucket, piece by piece.

use millrace_aws::reading::{Part, ReadError, Reader};

use crate::server::{Answer, Server, s3};

async fn reader(server: &Server) -> Reader {
    Reader::with_config(&server.config().await).unwrap()
}

fn part(range: &str, body: &str) -> Answer {
    let headers = format!("etag: \"1\"\r\ncontent-range: bytes {range}\r\n");
    Answer::Reply { status: 206, headers, body: body.to_owned() }
}

#[tokio::test]
async fn a_part_says_how_long_the_whole_is_and_which_version() {
    let server = Server::always(part("5-8/20", "abcd"));
    let read = reader(&server).await.part("photos", "a b", 5, 4, Some("\"1\"")).await.unwrap().unwrap();
    assert_eq!(read, Part { bytes: "abcd".into(), total: 20, etag: "\"1\"".into() });
    let asked = format!("{:?}", server.asked()[0]).to_lowercase();
    assert!(asked.contains("bytes=5-8") && asked.contains("if-match"), "{asked}");
}

#[tokio::test]
async fn empty_gone_and_replaced_objects_are_told_apart() {
    let read = async |answer, offset| {
        reader(&Server::always(answer)).await.part("photos", "k", offset, 4, None).await
    };
    assert_eq!(read(s3(416, "InvalidRange"), 0).await, Ok(None));
    assert_eq!(read(s3(416, "InvalidRange"), 4).await, Err(ReadError::Changed));
    assert_eq!(read(s3(412, "PreconditionFailed"), 4).await, Err(ReadError::Changed));
    let gone = "there is no object `k` in bucket `photos`".to_owned();
    assert_eq!(read(s3(404, "NoSuchKey"), 0).await, Err(ReadError::Invalid(gone)));
    let Err(ReadError::Unavailable(denied)) = read(s3(403, "AccessDenied"), 0).await else {
        panic!("it may be set right")
    };
    assert!(denied.contains("allow s3:GetObject on `photos/*`"), "{denied}");
}

#[tokio::test]
async fn keys_go_on_where_the_page_before_ended() {
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t2</NextContinuationToken>\
                <Contents><Key>p/1</Key></Contents><Contents><Key>p/2</Key></Contents></ListBucketResult>";
    let server = Server::always(Answer::Reply { status: 200, headers: String::new(), body: page.to_owned() });
    let (keys, next) = reader(&server).await.keys("photos", "p/", Some("t1".into()), 2).await.unwrap();
    assert_eq!((keys, next), (vec!["p/1".to_owned(), "p/2".to_owned()], Some("t2".to_owned())));
    let asked = format!("{:?}", server.asked()[0]);
    assert!(asked.contains("continuation-token=t1") && asked.contains("max-keys=2"), "{asked}");
}
