//! Where the items of a map come from, without being named one by one: paging activities that every worker can run, for
//! [`WorkflowContext::map_pages`](crate::WorkflowContext::map_pages).
//!
//! ```
//! use millrace::prelude::*;
//! use millrace::sources::{self, Lines};
//!
//! #[activity]
//! async fn embed(line: String) -> Result<(), ActivityError> {
//!     Ok(()) // one line of the file
//! }
//!
//! #[workflow]
//! async fn index(ctx: WorkflowContext, corpus: String) -> Result<u64, WorkflowError> {
//!     let done = ctx.map_pages(embed, sources::lines, Lines::of(corpus)).concurrency(500).summary().await?;
//!     Ok(done.count)
//! }
//! ```
//!
//! A place is written as `s3://bucket/prefix`, or as the path of a folder or file, with or without `file:`, which must then
//! be the same on every worker. Names in `s3://` are taken as they are: nothing is percent-encoded. Buckets need a worker
//! that is built with the crate's feature `aws`, whose role may `s3:ListBucket` and `s3:GetObject`; region, credentials
//! and endpoint come from the SDK's own variables.
//!
//! What holds:
//! - Each page is read once, in the history of its shard: what changes afterwards, changes nothing.
//! - **Keys** that come or go while the pages are read are seen or not.
//! - **Lines** are those of one version of the file: if it is replaced in between, the map fails, and says so. A worker reads
//!   no more than the lines of its page, and up to one page beyond.

#[cfg(feature = "aws")]
mod bucket;
mod files;
mod place;
mod split;

use serde::{Deserialize, Serialize};

use crate::{ActivityError, Page, activity};
use place::{Place, invalid};
use split::Window;

/// How many items a page has at most, unless said otherwise.
const PAGE: usize = 1_000;
/// So much is read at a time, and a page's lines have no more bytes, unless the first of them alone has.
const WINDOW: u64 = 200_000;

/// The keys under a prefix: what [`keys`] is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The prefix, or the folder.
    url: String,
    #[serde(default = "page")]
    page: usize,
}

impl Keys {
    /// `s3://bucket/photos/2026/` or a folder such as `data/photos`. A prefix need not end at a `/`.
    pub fn under(url: impl Into<String>) -> Self {
        Self { url: url.into(), page: PAGE }
    }

    /// How many keys a page has, and so a shard; 1,000 if not said, which is also the most that a bucket gives at a time.
    #[must_use]
    pub fn page(self, keys: usize) -> Self {
        Self { page: keys, ..self }
    }
}

/// The lines of a file: what [`lines`] is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// The object, or the file.
    url: String,
    #[serde(default = "page")]
    page: usize,
}

impl Lines {
    /// `s3://bucket/corpus.ndjson` or a file such as `data/corpus.ndjson`.
    pub fn of(url: impl Into<String>) -> Self {
        Self { url: url.into(), page: PAGE }
    }

    /// How many lines a page has at most, and so a shard; 1,000 if not said. Pages of 200,000 bytes have no more.
    #[must_use]
    pub fn page(self, lines: usize) -> Self {
        Self { page: lines, ..self }
    }
}

fn page() -> usize {
    PAGE
}

/// Gives the keys under a prefix, each as `s3://bucket/key`, in the order in which the bucket lists them; or the files of a
/// folder and the folders in it, each as a path, in the order of their bytes. Keys that end with `/` stand for folders and
/// are left out; links to folders are not followed.
#[activity(name = "millrace.keys", start_to_close = "5m")]
pub async fn keys(of: Keys, cursor: Option<String>) -> Result<Page<String>, ActivityError> {
    let most = at_least_one("page", of.page)?;
    match Place::parse(&of.url)? {
        Place::Bucket(bucket, prefix) => bucket_keys(&of.url, (&bucket, &prefix), cursor, most).await,
        Place::Path(folder) => files::keys(&of.url, &folder, cursor.as_deref(), most),
    }
}

/// Gives the lines of a file without their ends, `\n` or `\r\n`. An empty line is one, too; what follows the last end is a line
/// if it is not empty. Lines of over a megabyte, and such as are not UTF-8, fail the map.
#[activity(name = "millrace.lines", start_to_close = "5m")]
pub async fn lines(of: Lines, cursor: Option<String>) -> Result<Page<String>, ActivityError> {
    let most = at_least_one("page", of.page)?;
    let (place, url) = (Place::parse(&of.url)?, of.url.as_str());
    let from = cursor.as_deref().map(split::Cursor::parse).transpose()?;
    let mut length = WINDOW;
    loop {
        let Some(window) = window(url, &place, from.as_ref(), length).await? else {
            return Ok(Page { items: Vec::new(), next: None }); // An empty file.
        };
        if let Some(page) = window.page(url, most)? {
            return Ok(page);
        }
        length *= 2; // Not one whole line.
    }
}

/// The bytes from the cursor on.
async fn window(
    url: &str,
    place: &Place,
    from: Option<&split::Cursor>,
    length: u64,
) -> Result<Option<Window>, ActivityError> {
    match place {
        Place::Bucket(bucket, key) => bucket_window(url, (bucket, key), from, length).await,
        Place::Path(file) => files::window(url, file, from, length),
    }
}

fn at_least_one(field: &str, n: usize) -> Result<usize, ActivityError> {
    match n {
        0 => Err(invalid(format!("{field}: 0 is no size of a page; take at least 1")).into()),
        n => Ok(n),
    }
}

#[cfg(feature = "aws")]
use bucket::{keys as bucket_keys, window as bucket_window};

#[cfg(not(feature = "aws"))]
async fn bucket_keys(
    url: &str,
    _place: (&str, &str),
    _cursor: Option<String>,
    _most: usize,
) -> Result<Page<String>, ActivityError> {
    Err(place::without_aws(url).into())
}

#[cfg(not(feature = "aws"))]
async fn bucket_window(
    url: &str,
    _place: (&str, &str),
    _from: Option<&split::Cursor>,
    _length: u64,
) -> Result<Option<Window>, ActivityError> {
    Err(place::without_aws(url).into())
}
