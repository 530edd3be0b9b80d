//! Reading any bucket, piece by piece: for activities, which have no port for that.

use aws_sdk_s3::Client;
use bytes::Bytes;
use millrace_engine::ports::StoreError;

use crate::connect::{ConnectError, config_loader, s3};
use crate::fault::Fault;
use crate::objects::Objects;

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The object is another than the one that was asked for.
    #[error("the object has been replaced")]
    Changed,
    /// The request cannot work, and trying again will not help.
    #[error("{0}")]
    Invalid(String),
    /// S3 cannot be reached, or does not allow it: that may be set right.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::Unavailable(reason),
            StoreError::Invalid { reason, .. } => Self::Invalid(reason),
        }
    }
}

/// A part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its bytes.
    pub bytes: Bytes,
    /// How many the whole object has.
    pub total: u64,
    /// Which version of the object it is of.
    pub etag: String,
}

/// Reads keys and parts of objects of any bucket of the region, with the credentials of the environment.
#[derive(Clone, Debug)]
pub struct Reader {
    client: Client,
}

impl Reader {
    /// Asks nothing of S3 yet.
    pub async fn connect() -> Result<Self, ReadError> {
        Self::with_config(&config_loader().load().await)
    }

    /// With a configuration of the caller's.
    pub fn with_config(config: &aws_config::SdkConfig) -> Result<Self, ReadError> {
        if config.region().is_none() {
            return Err(ReadError::Unavailable(ConnectError::NoRegion.to_string()));
        }
        Ok(Self { client: s3(config) })
    }

    fn objects(&self, bucket: &str) -> Objects {
        Objects { client: self.client.clone(), bucket: bucket.to_owned() }
    }

    /// Up to so many keys under a prefix, and with what to ask for those that follow. There may be none, and more to follow.
    pub async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        continued: Option<String>,
        most: usize,
    ) -> Result<(Vec<String>, Option<String>), ReadError> {
        let objects = self.objects(bucket);
        let list = objects.list_page(prefix).max_keys(i32::try_from(most).unwrap_or(i32::MAX));
        let page = objects.listed(prefix, list.set_continuation_token(continued)).await?;
        let keys = page.contents.into_iter().flatten().filter_map(|object| object.key).collect();
        Ok((keys, page.next_continuation_token))
    }

    /// Up to so many bytes of an object, from an offset on, of the version that is named; nothing if the object is empty.
    pub async fn part(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        length: u64,
        etag: Option<&str>,
    ) -> Result<Option<Part>, ReadError> {
        let objects = self.objects(bucket);
        let range = format!("bytes={offset}-{}", offset + length.max(1) - 1);
        let get = self.client.get_object().bucket(bucket).key(key).range(range);
        let output = match get.set_if_match(etag.map(str::to_owned)).send().await {
            Ok(output) => output,
            Err(error) => {
                let fault = Fault::of(&error);
                return match fault.status {
                    412 => Err(ReadError::Changed),
                    416 if offset == 0 => Ok(None),
                    416 => Err(ReadError::Changed),
                    404 if fault.code != "NoSuchBucket" => {
                        Err(ReadError::Invalid(format!("there is no object `{key}` in bucket `{bucket}`")))
                    }
                    _ => Err(objects.refused("s3:GetObject", key, &fault).into()),
                };
            }
        };
        let total = output.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let etag = output.e_tag().unwrap_or_default().to_owned();
        let broke = |error| {
            ReadError::Unavailable(format!("s3:GetObject on bucket `{bucket}`: `{key}` broke off: {error}"))
        };
        let bytes = output.body.collect().await.map_err(broke)?.into_bytes();
        // An answer without a range is the whole object.
        let total = total.unwrap_or(bytes.len() as u64);
        Ok(Some(Part { bytes, total, etag }))
    }
}
