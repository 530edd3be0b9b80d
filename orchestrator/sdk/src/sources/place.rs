//! Where something lies.

use std::path::PathBuf;

use millrace_core::ApplicationFailure;

/// A place, as its url names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A bucket, and a key or prefix in it.
    Bucket(String, String),
    Path(PathBuf),
}

/// A failure that no other attempt would cure.
pub(super) fn invalid(text: impl std::fmt::Display) -> ApplicationFailure {
    ApplicationFailure::new("BadSource", text).non_retryable()
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, ApplicationFailure> {
        if let Some(place) = url.strip_prefix("s3://") {
            let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err(invalid(format!("`{url}` names no bucket: write s3://bucket/prefix")));
            }
            return Ok(Self::Bucket(bucket.to_owned(), key.to_owned()));
        }
        let path = match url.strip_prefix("file:") {
            // file:///data/x, file:/data/x and file:data/x
            Some(path) => path.strip_prefix("//").unwrap_or(path),
            None if url.contains("://") => {
                let text = format!("`{url}` is of no known kind: write s3://bucket/prefix, or a path");
                return Err(invalid(text));
            }
            None => url,
        };
        if path.is_empty() {
            return Err(invalid(format!("`{url}` names nothing: write s3://bucket/prefix, or a path")));
        }
        Ok(Self::Path(PathBuf::from(path)))
    }
}

#[cfg(not(feature = "aws"))]
pub(super) fn without_aws(url: &str) -> ApplicationFailure {
    invalid(format!(
        "`{url}` is in a bucket, and this worker is built without the feature `aws` of the crate `millrace`: build it with \
         that feature, or name a folder or file"
    ))
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn buckets_and_paths_are_told_apart() {
        let bucket = |bucket: &str, key: &str| Place::Bucket(bucket.into(), key.into());
        let path = |path: &str| Place::Path(path.into());
        let good = [
            ("s3://photos/2026/a b", bucket("photos", "2026/a b")),
            ("s3://photos", bucket("photos", "")),
            ("data/x", path("data/x")),
            ("/data/x", path("/data/x")),
            ("file:data/x", path("data/x")),
            ("file:/data/x", path("/data/x")),
            ("file:///data/x", path("/data/x")),
        ];
        for (url, place) in good {
            assert_eq!(Place::parse(url).unwrap(), place, "{url}");
        }
        for (url, hint) in [("https://x/y", "no known kind"), ("s3:///x", "no bucket"), ("", "names nothing")]
        {
            let failure = Place::parse(url).unwrap_err();
            assert!(failure.to_string().contains(hint) && failure.non_retryable, "{failure}");
        }
    }
}
