//! The engine's ports on AWS: objects in S3, messages in SQS.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use millrace_aws::{Aws, Settings};
//! use millrace_engine::ports::{Clock, OutMessage, QueueName};
//!
//! async fn start(clock: Arc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
//!     // MILLRACE_BUCKET, MILLRACE_QUEUE_PREFIX, MILLRACE_NAMESPACE; region, credentials and endpoints by the SDK's own
//!     // variables: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, …
//!     let aws = Aws::connect(Settings::from_env()?, clock).await?;
//!     aws.check(&[QueueName::inbox(), QueueName::events()]).await?;
//!     let message = OutMessage::now(r#"{"type":"cancel","id":"digits-42"}"#.to_owned());
//!     aws.queues.send(&QueueName::inbox(), vec![message]).await.into_iter().collect::<Result<(), _>>()?;
//!     Ok(())
//! }
//! ```
//!
//! # What it does
//!
//! - **Objects**: one call of the port is one request, conditional where the port says so; `list` asks for as many pages
//!   as it takes. A bucket whose name ends in `--x-s3` is a directory bucket (S3 Express One Zone), which lists in no
//!   order: each page of `list` reads the whole folder there.
//! - **Queues**: the queue `events` is the standard queue `{prefix}-events`. Messages are sent and deleted in batches of
//!   ten and one MiB; what SQS was at fault for is offered four times. Waits, delays and visibilities are rounded up to whole
//!   seconds. Characters that SQS does not carry are escaped, as JSON allows.
//! - **Large bodies**, of more than 1,000,000 bytes with the attributes and up to 17 MiB, travel through the bucket: the
//!   message is then `{"v":1,"body":"message/<sha256>"}`, on the inbox and its dead letters
//!   `{"v":1,"body":"inbox-payload/<sha256>"}`, and `receive` hands out the body itself. [`Aws::resolve`] does so for messages
//!   that come otherwise. Anybody may send such a pointer to the inbox; it names nothing but what strangers may write.
//!
//! It creates no bucket and no queue, keeps no state but the queues' URLs, and does not retry where the engine does.
//!
//! # What an error means
//!
//! | from AWS | objects | queues |
//! |---|---|---|
//! | 412 | `Conflict`; after a lost reply it may be the own write, which the engine knows by its nonce (G5) | |
//! | 409 | `Busy` | |
//! | 404 on `If-Match` | `Gone` | |
//! | timeout, cut connection, 5xx | `Unknown` for a write, else `Unavailable` | `Unavailable` |
//! | SlowDown, throttling | `Unavailable`, but `Unknown` if an earlier attempt of the same write got no clear answer | `Unavailable` |
//! | no or lapsed credentials, access denied, wrong region | the same, naming action and resource: a broken policy loses nothing | `Unavailable`, likewise |
//! | no such bucket, no such queue | `Invalid` | `Invalid`; `Unavailable` if SQS does not say whether it is missing or denied |
//! | a request that can never work | `Invalid` | `Invalid`, for that message alone |
//! | a receipt that has lapsed | | deleting: success; changing the visibility: `ReceiptVoid` |
//!
//! # What a role needs
//!
//! | port | actions |
//! |---|---|
//! | `get` | `s3:GetObject` on the objects; `s3:ListBucket` on the bucket, else a missing key is an error |
//! | `put` | `s3:PutObject`, and `s3:GetObject` for `If-Match` |
//! | `delete` | `s3:DeleteObject` |
//! | `list` | `s3:ListBucket` |
//! | all of these on a directory bucket | `s3express:CreateSession` instead |
//! | `send` | `sqs:GetQueueUrl`, `sqs:SendMessage`; for large bodies `s3:PutObject` on `{ns}/message/*`, of the inbox `{ns}/inbox-payload/*` |
//! | `receive` | `sqs:GetQueueUrl`, `sqs:ReceiveMessage`; for large bodies `s3:GetObject` on the same |
//! | `delete` | `sqs:GetQueueUrl`, `sqs:DeleteMessage` |
//! | `change_visibility` | `sqs:GetQueueUrl`, `sqs:ChangeMessageVisibility` |
//! | [`Aws::check`] | `sqs:GetQueueUrl`; `s3:GetObject` and `s3:ListBucket` for `{ns}/check`, which need not exist |
//!
//! # Why not the SDK's defaults
//!
//! The HTTP client uses ring instead of AWS-LC (cold starts, package size); an attempt has 6 s, a long poll its wait more;
//! there are three attempts, because a redelivered message is the patient retry; requests carry no checksum beside the
//! signature. [`config_loader`] has all of it, for those who change one of them.

mod batch;
mod characters;
mod check;
mod connect;
mod fault;
pub mod fleet;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzzing;
mod listing;
mod objects;
mod queues;
pub mod reading;
mod settings;
mod tuning;
mod urls;
mod watch;

pub use check::CheckError;
pub use connect::{Aws, ConnectError, config_loader, s3_client};
pub use settings::{Settings, SettingsError};
