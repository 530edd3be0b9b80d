//! Points in time, to the millisecond.

use std::fmt;
use std::ops::Sub;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 9999-12-30T22:00:00Z, the last millisecond that jiff makes a time of (its own `MAX` lies 999 later). A time that
/// cannot be written would be an event that is missing in the log.
const LAST: i64 = 253_402_207_200_000;

impl Timestamp {
    /// The time `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time moved by `duration`, held at the far end of the calendar instead of overflowing.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms).min(LAST))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 3339 can write no time outside the calendar.
        let clamped = self.0.clamp(jiff::Timestamp::MIN.as_millisecond(), LAST);
        let time = jiff::Timestamp::from_millisecond(clamped).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_millisecond().min(LAST)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|e| D::Error::custom(format!("expected a time such as 2026-11-23T02:05:11.123Z: {e}")))
    }
}

/// The duration as it is written and read again, so that a run in memory is the one that its log describes.
pub(crate) fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Durations as a whole number of milliseconds; the field's name ends in `_ms`.
pub(crate) mod millis {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }

    /// The same for a duration that may be absent.
    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

        pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
            duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(s)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_can_be_written_and_read_again() {
        for ms in [i64::MIN, -1, 0, LAST - 1, LAST, LAST + 999, i64::MAX] {
            let text = Timestamp::from_millis(ms).to_string();
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        let far = Timestamp::from_millis(7).plus(Duration::MAX);
        assert_eq!((far.as_millis(), far.to_string().as_str()), (LAST, "9999-12-30T22:00:00.000Z"));
        assert_eq!("9999-12-30T22:00:00.999Z".parse::<Timestamp>().unwrap(), far);
    }
}
