//! Listing keys, which the two kinds of buckets do differently.

use std::collections::BTreeSet;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::types::Object;
use millrace_engine::ports::StoreError;

use crate::fault::Fault;
use crate::objects::Objects;

/// S3 gives no longer page.
const PAGE: usize = 1_000;

impl Objects {
    /// A general purpose bucket lists in order, starts where it is told, and is left where the range ends.
    pub(crate) async fn list_ordered(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (mut keys, mut continued) = (Vec::new(), None);
        // A page may be short or even empty while there is more, and a short answer would mean the end.
        while keys.len() < limit {
            let size = i32::try_from(PAGE.min(limit - keys.len())).unwrap_or(i32::MAX);
            let list = self.list_page(prefix).max_keys(size);
            let list = match continued {
                None => list.set_start_after(after.map(str::to_owned)),
                Some(token) => list.continuation_token(token),
            };
            let page = self.listed(prefix, list).await?;
            continued = page.next_continuation_token;
            keys.extend(page.contents.into_iter().flatten().filter_map(|object| object.key));
            let is_beyond = |key: &String| before.is_some_and(|before| key.as_str() >= before);
            if continued.is_none() || keys.last().is_some_and(is_beyond) {
                keys.retain(|key| !is_beyond(key));
                break;
            }
        }
        Ok(keys)
    }

    /// A directory bucket lists in no order, knows no range, and takes whole folders only. So the names in the folder
    /// are read, then the inner folders that the range touches, in their order and each to its end, until no later one
    /// can hold one of the least keys. Each page of a folder without inner folders costs the whole folder.
    pub(crate) async fn list_unordered(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let folder = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
        let is_in = |name: &str| name.starts_with(prefix) && before.is_none_or(|before| name < before);
        let is_wanted = |key: &str| is_in(key) && after.is_none_or(|after| key > after);
        let mut least = BTreeSet::new();
        let mut inner = BTreeSet::new();
        self.read_folder(self.list_page(folder).delimiter("/"), folder, |page| {
            keep_least(&mut least, page.contents, is_wanted, limit);
            inner.extend(page.common_prefixes.into_iter().flatten().filter_map(|inner| inner.prefix));
        })
        .await?;
        inner.retain(|inner| {
            is_in(inner) && after.is_none_or(|after| &**inner > after || after.starts_with(&**inner))
        });
        for inner in inner {
            if least.len() == limit && least.last().is_some_and(|last| *last < inner) {
                break;
            }
            self.read_folder(self.list_page(&inner), &inner, |page| {
                keep_least(&mut least, page.contents, is_wanted, limit);
            })
            .await?;
        }
        Ok(least.into_iter().collect())
    }

    async fn read_folder(
        &self,
        list: ListObjectsV2FluentBuilder,
        folder: &str,
        mut take: impl FnMut(ListObjectsV2Output),
    ) -> Result<(), StoreError> {
        let mut continued = None;
        loop {
            let mut page = self.listed(folder, list.clone().set_continuation_token(continued)).await?;
            continued = page.next_continuation_token.take();
            take(page);
            if continued.is_none() {
                return Ok(());
            }
        }
    }

    pub(crate) fn list_page(&self, prefix: &str) -> ListObjectsV2FluentBuilder {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        self.client.list_objects_v2().bucket(&self.bucket).set_prefix(prefix)
    }

    pub(crate) async fn listed(
        &self,
        prefix: &str,
        list: ListObjectsV2FluentBuilder,
    ) -> Result<ListObjectsV2Output, StoreError> {
        list.send().await.map_err(|error| self.refused("s3:ListBucket", prefix, &Fault::of(&error)))
    }
}

fn keep_least(
    least: &mut BTreeSet<String>,
    found: Option<Vec<Object>>,
    is_wanted: impl Fn(&str) -> bool,
    limit: usize,
) {
    for key in found.into_iter().flatten().filter_map(|object| object.key).filter(|key| is_wanted(key)) {
        least.insert(key);
        if least.len() > limit {
            least.pop_last();
        }
    }
}
