//! Buckets.

use millrace_aws::reading::{ReadError, Reader};
use millrace_core::ApplicationFailure;
use tokio::sync::OnceCell;

use super::place::invalid;
use super::split::{Cursor, Window, changed};
use crate::{ActivityError, Page};

/// One client for all attempts of this process.
static READER: OnceCell<Reader> = OnceCell::const_new();

/// What may be cured from outside, such as a missing permission, is tried again, and shown meanwhile.
fn failed(url: &str, error: ReadError) -> ActivityError {
    match error {
        ReadError::Changed => changed(url).into(),
        ReadError::Invalid(reason) => invalid(format!("`{url}`: {reason}")).into(),
        ReadError::Unavailable(reason) => {
            ApplicationFailure::new("SourceUnavailable", format!("`{url}`: {reason}")).into()
        }
    }
}

async fn reader(url: &str) -> Result<&'static Reader, ActivityError> {
    READER.get_or_try_init(Reader::connect).await.map_err(|error| failed(url, error))
}

pub(super) async fn keys(
    url: &str,
    (bucket, prefix): (&str, &str),
    cursor: Option<String>,
    most: usize,
) -> Result<Page<String>, ActivityError> {
    let listed = reader(url).await?.keys(bucket, prefix, cursor, most).await;
    let (keys, next) = listed.map_err(|error| failed(url, error))?;
    let keys = keys.into_iter().filter(|key| !key.ends_with('/'));
    Ok(Page { items: keys.map(|key| format!("s3://{bucket}/{key}")).collect(), next })
}

pub(super) async fn window(
    url: &str,
    (bucket, key): (&str, &str),
    from: Option<&Cursor>,
    length: u64,
) -> Result<Option<Window>, ActivityError> {
    if key.is_empty() || key.ends_with('/') {
        return Err(invalid(format!(
            "`{url}` names no object: write s3://bucket/key, or map over its `keys`"
        ))
        .into());
    }
    let (offset, version) = from.map_or((0, None), |from| (from.offset, Some(from.version.as_str())));
    let part = reader(url).await?.part(bucket, key, offset, length, version).await;
    let Some(part) = part.map_err(|error| failed(url, error))? else { return Ok(None) };
    let is_last = offset + part.bytes.len() as u64 >= part.total;
    Ok(Some(Window { bytes: part.bytes.into(), from: Cursor { offset, version: part.etag }, is_last }))
}
