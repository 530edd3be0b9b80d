//! The times of a schedule: a function of its fields and of the zone database of this build.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use millrace_core::Timestamp;

use super::Schedule;

/// A time from which every cron expression that ever comes true does so within the search's limit.
const ANY_TIME: Timestamp = Timestamp::from_millis(946_684_800_000);

/// When a schedule is due.
pub(super) struct Times {
    pattern: Pattern,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

enum Pattern {
    Cron(Box<Cron>, TimeZone),
    /// Milliseconds.
    Every {
        interval: i64,
        offset: i64,
    },
}

impl Times {
    pub(super) fn new(schedule: &Schedule) -> Result<Self, String> {
        let pattern = match (&schedule.cron, schedule.every_s) {
            (Some(cron), None) => by_cron(cron, schedule)?,
            (None, Some(every)) => by_interval(every, schedule)?,
            (Some(_), Some(_)) => {
                return Err("cron: the schedule has `every_s`, too: leave one out".to_owned());
            }
            (None, None) => {
                let example = "such as `\"cron\": \"0 3 * * *\"` or `\"every_s\": 3600`";
                return Err(format!(
                    "cron: the schedule says no times; give it `cron` or `every_s`, {example}"
                ));
            }
        };
        Ok(Self { pattern, starts_at: schedule.starts_at, ends_at: schedule.ends_at })
    }

    /// The first time after this one.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let just_before = |start: Timestamp| Timestamp::from_millis(start.as_millis().saturating_sub(1));
        let after = self.starts_at.map_or(after, |start| after.max(just_before(start)));
        let next = self.pattern.next(after)?;
        self.ends_at.is_none_or(|end| next < end).then_some(next)
    }

    /// All times after this one.
    pub(super) fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |last| self.next(*last))
    }
}

impl Pattern {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron, zone) => {
                let after = jiff::Timestamp::from_millisecond(after.as_millis()).ok()?.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&after, false).ok()?;
                Some(Timestamp::from_millis(next.timestamp().as_millisecond()))
            }
            Self::Every { interval, offset } => {
                let whole = after.as_millis().saturating_sub(*offset).div_euclid(*interval).saturating_add(1);
                Some(Timestamp::from_millis(whole.checked_mul(*interval)?.checked_add(*offset)?))
            }
        }
    }
}

fn by_cron(expression: &str, schedule: &Schedule) -> Result<Pattern, String> {
    if schedule.offset_s != 0 {
        return Err("offset: is for intervals; move the times of the cron expression instead".to_owned());
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let advice =
        "write five fields: minute, hour, day of month, month, day of week, such as `0 3 * * MON-FRI`";
    let cron = parser.parse(expression).map_err(|bad| {
        let bad = bad.to_string();
        format!("cron: `{expression}` cannot be read: {}; {advice}", bad.trim_end_matches('.'))
    })?;
    let pattern = Pattern::Cron(Box::new(cron), zone(schedule.time_zone.as_deref())?);
    match pattern.next(ANY_TIME) {
        Some(_) => Ok(pattern),
        None => Err(format!("cron: `{expression}` never comes true: no month has such a day")),
    }
}

/// The zone by the database of this build, on every machine.
fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZoneDatabase::bundled().get(name).map_err(|_| {
        let advice = "give a name of the zone database, such as `Europe/Berlin`, `America/New_York` or `UTC`";
        format!("time_zone: there is no `{name}`; {advice}")
    })
}

fn by_interval(every_s: u64, schedule: &Schedule) -> Result<Pattern, String> {
    if schedule.time_zone.is_some() {
        return Err("time_zone: is for cron expressions; an interval is the same in every zone".to_owned());
    }
    if every_s == 0 {
        return Err("every: the shortest interval is a second".to_owned());
    }
    if schedule.offset_s >= every_s {
        let offset = schedule.offset_s;
        return Err(format!("offset: {offset} s is not less than the interval, {every_s} s"));
    }
    let millis = |seconds: u64| i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000));
    match (millis(every_s), millis(schedule.offset_s)) {
        (Some(interval), Some(offset)) => Ok(Pattern::Every { interval, offset }),
        _ => Err(format!("every: {every_s} s is longer than the calendar")),
    }
}

#[cfg(test)]
mod tests;
