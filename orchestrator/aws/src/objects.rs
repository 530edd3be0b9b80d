//! The object store on S3: general purpose buckets and directory buckets (S3 Express One Zone).
//!
//! Every answer is mapped to what the engine does next (G5). It does not retry beyond the SDK, keeps nothing between
//! calls, and never looks into an ETag.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::Bytes;
use millrace_engine::ports::{
    BodyRead, BodyStore, Condition, DeleteError, ETag, ObjectStore, PutError, StoreError, Stored,
};

use crate::fault::{Fault, Kind};
use crate::tuning;
use crate::watch::Watch;

/// A bucket as an object store.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    pub(crate) client: Client,
    pub(crate) bucket: String,
}

/// An object, or why its bytes were not read.
pub(crate) enum Read {
    Absent,
    TooLarge,
    Object(Stored),
}

impl Objects {
    /// Whether the bucket is a directory bucket, whose listing is another one.
    pub(crate) fn is_directory(&self) -> bool {
        self.bucket.ends_with("--x-s3")
    }

    /// Reads an object unless it has more than `limit` bytes.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Read, StoreError> {
        let watch = Watch::default();
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let output = match get.customize().interceptor(watch.clone()).send().await {
            Ok(output) => output,
            Err(error) => {
                let fault = Fault::of(&error);
                let absent = fault.code == "NoSuchKey" || (fault.status == 404 && fault.code.is_empty());
                return if absent {
                    Ok(Read::Absent)
                } else {
                    Err(self.refused("s3:GetObject", key, &fault))
                };
            }
        };
        if output.content_length().and_then(|length| u64::try_from(length).ok()).is_some_and(|n| n > limit) {
            return Ok(Read::TooLarge);
        }
        self.body(key, output, watch.date()).await.map(Read::Object)
    }

    async fn body(
        &self,
        key: &str,
        output: GetObjectOutput,
        now: Option<DateTime>,
    ) -> Result<Stored, StoreError> {
        let etag = ETag(output.e_tag.unwrap_or_default());
        let age = age(now, output.last_modified);
        let body = output.body.collect().await.map_err(|error| {
            let text = format!("s3:GetObject on bucket `{}`: `{key}` broke off: {error}", self.bucket);
            StoreError::Unavailable(text)
        })?;
        Ok(Stored { body: body.into_bytes(), etag, age })
    }

    /// What a refused call means, with what was tried and what would help.
    pub(crate) fn refused(&self, action: &str, key: &str, fault: &Fault) -> StoreError {
        let bucket = &self.bucket;
        if fault.kind == Kind::Credentials {
            return StoreError::Unavailable(fault.text.clone());
        }
        let text = format!("{action} on bucket `{bucket}`: {}", fault.text);
        if fault.code == "NoSuchBucket" {
            let reason = format!("there is no bucket `{bucket}`: {}", fault.text);
            return StoreError::Invalid { key: key.to_owned(), reason };
        }
        if fault.is_elsewhere() {
            let region = fault.bucket_region.as_deref();
            let hint = region.map(|region| format!("; the bucket is in {region}: set AWS_REGION={region}"));
            return StoreError::Unavailable(format!("{text}{}", hint.unwrap_or_default()));
        }
        if fault.is_denied() {
            return StoreError::Unavailable(format!("{text}; {}", allow(action, bucket)));
        }
        let may_work_later = fault.kind == Kind::NoAnswer
            || fault.is_credentials()
            || matches!(fault.status, 401 | 403 | 408 | 409 | 429 | 500..)
            || matches!(fault.code.as_str(), "RequestTimeout" | "SlowDown" | "Throttling");
        if may_work_later {
            StoreError::Unavailable(text)
        } else {
            StoreError::Invalid { key: key.to_owned(), reason: text }
        }
    }

    fn put_error<E>(
        &self,
        key: &str,
        condition: &Condition,
        error: &SdkError<E, Response>,
        watch: &Watch,
    ) -> PutError
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let fault = Fault::of(error);
        match (fault.status, condition) {
            (412, _) => return PutError::Conflict,
            (409, _) => return PutError::Busy,
            (404, Condition::Matches(_)) if fault.code != "NoSuchBucket" => return PutError::Gone,
            _ => {}
        }
        let refused = self.refused("s3:PutObject", key, &fault);
        if watch.may_have_happened() {
            return PutError::Unknown(refused.to_string());
        }
        refused.into()
    }
}

type Response = aws_sdk_s3::config::http::HttpResponse;

const CONDITIONAL_DELETE: &str = "s3:DeleteObject with If-Match";

/// What the role is to be allowed. Without `s3:ListBucket`, S3 answers 403 for a key that has no object.
fn allow(action: &str, bucket: &str) -> String {
    match action {
        "s3:GetObject" => format!(
            "allow s3:GetObject on `{bucket}/*` and s3:ListBucket on `{bucket}`, without which a missing key is denied"
        ),
        "s3:PutObject" => {
            format!("allow s3:PutObject and, which If-Match needs, s3:GetObject on `{bucket}/*`")
        }
        CONDITIONAL_DELETE => {
            format!("allow s3:DeleteObject and, which If-Match needs, s3:GetObject on `{bucket}/*`")
        }
        "s3:ListBucket" => format!("allow s3:ListBucket on `{bucket}`"),
        _ => format!("allow {action} on `{bucket}/*`"),
    }
}

/// By the store's clock alone: `Date` minus `Last-Modified` of one answer.
fn age(now: Option<DateTime>, written: Option<DateTime>) -> Duration {
    let (Some(now), Some(written)) = (now, written) else { return Duration::ZERO };
    Duration::from_secs(u64::try_from(now.secs().saturating_sub(written.secs())).unwrap_or(0))
}

#[async_trait]
impl ObjectStore for Objects {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        match self.read(key, u64::MAX).await? {
            Read::Object(stored) => Ok(Some(stored)),
            Read::Absent | Read::TooLarge => Ok(None),
        }
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        let watch = Watch::default();
        let timeouts = tuning::object_timeouts(body.len());
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body));
        let put = match &condition {
            Condition::Always => put,
            Condition::Absent => put.if_none_match("*"),
            Condition::Matches(etag) => put.if_match(&etag.0),
        };
        let mut put = put.customize().interceptor(watch.clone());
        if let Some(timeouts) = timeouts {
            put = put.config_override(aws_sdk_s3::config::Config::builder().timeout_config(timeouts));
        }
        match put.send().await {
            // Written, but as which version: reading tells.
            Ok(output) => {
                output.e_tag.map(ETag).ok_or_else(|| PutError::Unknown("the answer has no ETag".into()))
            }
            Err(error) => Err(self.put_error(key, &condition, &error, &watch)),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.client.delete_object().bucket(&self.bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let fault = Fault::of(&error);
                // A directory bucket answers 404 for a key that a general purpose bucket deletes in silence.
                if fault.code == "NoSuchKey" {
                    Ok(())
                } else {
                    Err(self.refused("s3:DeleteObject", key, &fault))
                }
            }
        }
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key).if_match(&version.0);
        let Err(error) = delete.send().await else { return Ok(()) };
        let fault = Fault::of(&error);
        match fault.status {
            404 if fault.code != "NoSuchBucket" => Ok(()),
            // Also if an earlier attempt, whose answer was lost, has deleted it: then there is nothing to read.
            412 => match self.read(key, 0).await? {
                Read::Absent => Ok(()),
                Read::TooLarge | Read::Object(_) => Err(DeleteError::Conflict),
            },
            501 => {
                let reason = format!(
                    "{CONDITIONAL_DELETE} on bucket `{}`: {}; this store has no conditional deletes, so nothing \
                     that may be written meanwhile can be removed from it",
                    self.bucket, fault.text
                );
                Err(StoreError::Invalid { key: key.to_owned(), reason }.into())
            }
            _ => Err(self.refused(CONDITIONAL_DELETE, key, &fault).into()),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        if self.is_directory() {
            self.list_unordered(prefix, after, before, limit).await
        } else {
            self.list_ordered(prefix, after, before, limit).await
        }
    }
}

#[async_trait]
impl BodyStore for Objects {
    async fn put_body(&self, key: &str, body: Bytes) -> Result<(), PutError> {
        self.put(key, body, Condition::Always).await.map(drop)
    }

    async fn read_body(&self, key: &str, most_bytes: u64) -> Result<BodyRead, StoreError> {
        Ok(match self.read(key, most_bytes).await? {
            Read::Object(stored) => BodyRead::Body(stored.body),
            Read::Absent => BodyRead::Absent,
            Read::TooLarge => BodyRead::TooLarge,
        })
    }
}
