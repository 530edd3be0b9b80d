//! What follows a failed attempt, in words.

use std::time::Duration;

use millrace_core::RetryPolicy;

/// How an activity is tried again; the default waits 1 s, doubling, up to 100 s, without an end.
///
/// ```
/// use millrace::{Retry, RetryPolicy, secs};
/// let policy: RetryPolicy = Retry::attempts(5).every(secs(1)).into();
/// assert_eq!((policy.maximum_attempts, policy.backoff_coefficient), (5, 1.0));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retry(RetryPolicy);

impl Retry {
    /// At most `n` attempts in all.
    pub fn attempts(n: u32) -> Self {
        Self::default().max_attempts(n)
    }

    /// One attempt.
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// As long as it takes.
    pub fn forever() -> Self {
        Self::attempts(0)
    }

    /// At most `n` attempts in all; 0 means no limit.
    #[must_use]
    pub fn max_attempts(mut self, n: u32) -> Self {
        self.0.maximum_attempts = n;
        self
    }

    /// Waits that do not grow.
    #[must_use]
    pub fn every(mut self, wait: Duration) -> Self {
        (self.0.initial_interval, self.0.maximum_interval, self.0.backoff_coefficient) = (wait, wait, 1.0);
        self
    }

    /// The wait after the first failed attempt. Raises the longest wait if that is shorter.
    #[must_use]
    pub fn initial_interval(mut self, wait: Duration) -> Self {
        self.0.initial_interval = wait;
        self.0.maximum_interval = self.0.maximum_interval.max(wait);
        self
    }

    /// No wait is longer than this.
    #[must_use]
    pub fn maximum_interval(mut self, wait: Duration) -> Self {
        self.0.maximum_interval = wait;
        self
    }

    /// Each further wait is the one before times this; below 1 counts as 1.
    #[must_use]
    pub fn backoff_coefficient(mut self, factor: f64) -> Self {
        self.0.backoff_coefficient = factor;
        self
    }

    /// Failures of these types are final: the short names of error types, or the types given to
    /// [`ApplicationFailure::new`](millrace_core::ApplicationFailure::new).
    #[must_use]
    pub fn non_retryable<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.0.non_retryable_error_types = types.into_iter().map(Into::into).collect();
        self
    }
}

impl From<Retry> for RetryPolicy {
    fn from(retry: Retry) -> Self {
        retry.0
    }
}

impl From<RetryPolicy> for Retry {
    fn from(policy: RetryPolicy) -> Self {
        Self(policy)
    }
}
