//! When a failed attempt is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{millis, whole_millis};
use crate::{Fault, TimeoutKind};

/// How attempts of an activity follow each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// The wait after the first failed attempt, in milliseconds.
    #[serde(rename = "initial_interval_ms", with = "millis")]
    pub initial_interval: Duration,
    /// Each further wait is the one before times this.
    pub backoff_coefficient: f64,
    /// No wait is longer than this, in milliseconds.
    #[serde(rename = "maximum_interval_ms", with = "millis")]
    pub maximum_interval: Duration,
    /// How many attempts there may be in all; 0 means no limit.
    pub maximum_attempts: u32,
    /// Failures of these types are final.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_retryable_error_types: Vec<String>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(1),
            backoff_coefficient: 2.0,
            maximum_interval: Duration::from_secs(100),
            maximum_attempts: 0,
            non_retryable_error_types: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// The policy as the log will give it back. JSON has no infinity: one in the log would make it unreadable.
    pub(crate) fn written(mut self) -> Self {
        self.initial_interval = whole_millis(self.initial_interval);
        self.maximum_interval = whole_millis(self.maximum_interval);
        if !self.backoff_coefficient.is_finite() {
            self.backoff_coefficient = if self.backoff_coefficient > 0.0 { f64::MAX } else { 1.0 };
        }
        self
    }

    /// The wait before the next attempt after `used` attempts have failed, the last with `fault`; `None` if the
    /// activity has failed for good. `jitter` in 0..=1 shortens the wait by up to a tenth, so that a thousand
    /// activities that failed together do not come back together.
    pub fn next_delay(&self, used: u32, fault: &Fault, jitter: f64) -> Option<Duration> {
        if self.is_final(fault) || (self.maximum_attempts > 0 && used >= self.maximum_attempts) {
            return None;
        }
        let asked = fault.application().and_then(|a| a.retry_after);
        Some(asked.unwrap_or_else(|| self.backoff(used).mul_f64(1.0 - 0.1 * jitter.clamp(0.0, 1.0))))
    }

    fn is_final(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Application(f) => f.non_retryable || self.non_retryable_error_types.contains(&f.kind),
            Fault::TimedOut { kind, .. } => {
                !matches!(kind, TimeoutKind::StartToClose | TimeoutKind::Heartbeat)
            }
            Fault::Canceled { .. } | Fault::Terminated { .. } => true,
        }
    }

    fn backoff(&self, used: u32) -> Duration {
        if self.initial_interval.is_zero() {
            return Duration::ZERO; // Zero times an overflown factor is no number.
        }
        let exponent = i32::try_from(used.saturating_sub(1)).unwrap_or(i32::MAX);
        let factor = self.backoff_coefficient.max(1.0).powi(exponent);
        let seconds = (self.initial_interval.as_secs_f64() * factor).min(self.maximum_interval.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or(self.maximum_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApplicationFailure;

    fn boom() -> Fault {
        Fault::Application(ApplicationFailure::new("Boom", "x"))
    }

    #[test]
    fn waits_double_up_to_the_maximum() {
        let policy = RetryPolicy::default();
        let waits: Vec<u64> = [1, 2, 3, 7, 8, 4_000_000_000]
            .map(|used| policy.next_delay(used, &boom(), 0.0).unwrap().as_secs())
            .to_vec();
        assert_eq!(waits, [1, 2, 4, 64, 100, 100]);
    }

    #[test]
    fn attempts_end() {
        let policy = RetryPolicy { maximum_attempts: 3, ..RetryPolicy::default() };
        assert!(policy.next_delay(2, &boom(), 0.0).is_some());
        assert!(policy.next_delay(3, &boom(), 0.0).is_none());
    }

    #[test]
    fn some_failures_are_final() {
        let policy = RetryPolicy { non_retryable_error_types: vec!["Boom".into()], ..RetryPolicy::default() };
        assert!(policy.next_delay(1, &boom(), 0.0).is_none());
        let declined = Fault::Application(ApplicationFailure::new("Declined", "x").non_retryable());
        assert!(RetryPolicy::default().next_delay(1, &declined, 0.0).is_none());
        let late = Fault::TimedOut { kind: TimeoutKind::ScheduleToStart, cause: None };
        assert!(RetryPolicy::default().next_delay(1, &late, 0.0).is_none());
    }

    #[test]
    fn a_failure_may_ask_for_its_own_wait() {
        let busy = ApplicationFailure::new("Busy", "x").retry_after(Duration::from_secs(7));
        assert_eq!(
            RetryPolicy::default().next_delay(1, &Fault::Application(busy), 1.0),
            Some(Duration::from_secs(7))
        );
    }
}
