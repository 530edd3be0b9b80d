//! Where the adapter works: which bucket, which queues, which namespace.

use millrace_core::Namespace;

/// The environment variable that names the bucket.
pub(crate) const BUCKET: &str = "MILLRACE_BUCKET";
/// The environment variable that the names of all queues begin with.
pub(crate) const QUEUE_PREFIX: &str = "MILLRACE_QUEUE_PREFIX";
/// The environment variable that names the namespace.
pub(crate) const NAMESPACE: &str = "MILLRACE_NAMESPACE";

/// SQS allows 80 characters; the longest name of the system is `-task-`, 40 characters of a task queue, `-dead`.
const LONGEST_PREFIX: usize = 80 - "-task-".len() - 40 - "-dead".len();

/// Which bucket, queues and namespace to use. Region, credentials and endpoints are the SDK's own matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The bucket; one whose name ends in `--x-s3` is a directory bucket (S3 Express One Zone).
    pub bucket: String,
    /// What every queue's name begins with: the queue `events` is `{queue_prefix}-events` in SQS.
    pub queue_prefix: String,
    /// The first part of every key.
    pub namespace: Namespace,
}

/// An environment that does not say where to work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A variable is not set, or empty.
    #[error("{variable} is not set: set it to {meaning}")]
    Missing {
        /// The variable.
        variable: &'static str,
        /// What belongs in it.
        meaning: &'static str,
    },
    /// A variable holds something that cannot be used.
    #[error("{variable} is `{value}`, which cannot be used: {reason}")]
    Invalid {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// Why that does not work.
        reason: String,
    },
}

impl Settings {
    /// Reads `MILLRACE_BUCKET`, `MILLRACE_QUEUE_PREFIX` and `MILLRACE_NAMESPACE` (`default` if not set).
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads the same variables from somewhere else.
    pub fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let required = |variable, meaning| {
            let value = read(variable).filter(|value| !value.is_empty());
            value.ok_or(SettingsError::Missing { variable, meaning })
        };
        let bucket = required(BUCKET, "the name of the bucket that holds the histories")?;
        let queue_prefix =
            required(QUEUE_PREFIX, "what the names of the queues begin with, before `-events`")?;
        let namespace = match read(NAMESPACE).filter(|value| !value.is_empty()) {
            None => Namespace::default(),
            Some(value) => Namespace::new(value.clone()).map_err(|error| SettingsError::Invalid {
                variable: NAMESPACE,
                value,
                reason: error.to_string(),
            })?,
        };
        check_prefix(&queue_prefix)?;
        Ok(Self { bucket, queue_prefix, namespace })
    }
}

fn check_prefix(prefix: &str) -> Result<(), SettingsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let reason = if !prefix.chars().all(allowed) {
        "a queue's name has letters, digits, `-` and `_` only".to_owned()
    } else if prefix.len() > LONGEST_PREFIX {
        format!("a queue's name has at most 80 characters, which leaves {LONGEST_PREFIX} for the prefix")
    } else {
        return Ok(());
    };
    Err(SettingsError::Invalid { variable: QUEUE_PREFIX, value: prefix.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_variables(|name| {
            pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn the_namespace_has_a_default() {
        let settings = read(&[(BUCKET, "b"), (QUEUE_PREFIX, "mill")]).unwrap();
        assert_eq!((settings.bucket.as_str(), settings.queue_prefix.as_str()), ("b", "mill"));
        assert_eq!(settings.namespace, Namespace::default());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read(&[(QUEUE_PREFIX, "mill")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "MILLRACE_BUCKET is not set: set it to the name of the bucket that holds the histories"
        );
        let error = read(&[(BUCKET, "b"), (QUEUE_PREFIX, "")]).unwrap_err().to_string();
        assert!(error.starts_with("MILLRACE_QUEUE_PREFIX is not set"), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (variable, value) in [(QUEUE_PREFIX, "a.b"), (QUEUE_PREFIX, &*"p".repeat(30)), (NAMESPACE, "a/b")]
        {
            let error = read(&[(variable, value), (BUCKET, "b"), (QUEUE_PREFIX, "mill")]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{variable} is `{value}`")), "{error}");
        }
    }
}
