//! Listing keys, which the two kinds of buckets do differently.

use std::collections::BTreeSet;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use millrace_engine::ports::StoreError;

use crate::fault::Fault;
use crate::objects::Objects;

/// S3 gives no longer page.
const PAGE: usize = 1_000;

impl Objects {
    /// A general purpose bucket lists in order and starts where it is told.
    pub(crate) async fn list_ordered(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (mut keys, mut continued) = (Vec::new(), None);
        // A page may be short or even empty while there is more, and an empty answer would mean the end.
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
            if continued.is_none() {
                break;
            }
        }
        Ok(keys)
    }

    /// A directory bucket lists in no order, knows no start, and takes whole folders only. So every key of the folder is
    /// read, and the least ones beyond `after` are kept: each page costs the whole folder, which is what keeps the
    /// port's promise that going on after the greatest key misses none.
    pub(crate) async fn list_unordered(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let folder = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
        let (mut keys, mut continued) = (BTreeSet::new(), None);
        loop {
            let page = self.listed(prefix, self.list_page(folder).set_continuation_token(continued)).await?;
            let wanted =
                |key: &String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
            for key in page.contents.into_iter().flatten().filter_map(|object| object.key).filter(wanted) {
                keys.insert(key);
                if keys.len() > limit {
                    keys.pop_last();
                }
            }
            continued = page.next_continuation_token;
            if continued.is_none() {
                return Ok(keys.into_iter().collect());
            }
        }
    }

    fn list_page(&self, prefix: &str) -> ListObjectsV2FluentBuilder {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        self.client.list_objects_v2().bucket(&self.bucket).set_prefix(prefix)
    }

    async fn listed(
        &self,
        prefix: &str,
        list: ListObjectsV2FluentBuilder,
    ) -> Result<ListObjectsV2Output, StoreError> {
        list.send().await.map_err(|error| self.refused("s3:ListBucket", prefix, &Fault::of(&error)))
    }
}
