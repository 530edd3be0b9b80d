#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::super::Schedule;
use super::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn from(schedule: &Schedule, after: &str, most: usize) -> Vec<String> {
    let times = schedule.times().unwrap();
    times.after(at(after)).take(most).map(|time| time.to_string().replace(".000Z", "Z")).collect()
}

fn berlin(cron: &str) -> Schedule {
    Schedule::cron(cron).time_zone("Europe/Berlin")
}

#[test]
fn a_fixed_time_follows_the_clock_of_its_zone() {
    // Winter: UTC+1. Summer, from 2026-03-29: UTC+2.
    let times = from(&berlin("0 3 * * *"), "2026-03-27T12:00:00Z", 3);
    assert_eq!(times, ["2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]);
}

#[test]
fn a_fixed_time_that_is_missing_comes_just_after_the_gap() {
    // 02:00 to 03:00 is missing.
    let times = from(&berlin("30 2 * * *"), "2026-03-28T12:00:00Z", 2);
    assert_eq!(times, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
}

#[test]
fn a_fixed_time_that_comes_twice_counts_once() {
    // 02:00 to 03:00 comes twice on 2026-10-25.
    let times = from(&berlin("30 2 * * *"), "2026-10-24T12:00:00Z", 2);
    assert_eq!(times, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn what_comes_every_half_hour_does_so_on_days_of_23_and_25_hours_too() {
    let day = |begin: &str, end: &str| {
        let times = berlin("*/30 * * * *").times().unwrap();
        times.after(at(begin)).take_while(|time| *time <= at(end)).count()
    };
    assert_eq!(day("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), 46);
    assert_eq!(day("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 50);
}

#[test]
fn intervals_lie_on_whole_multiples_and_their_offset() {
    let schedule = Schedule::every(Duration::from_secs(3_600)).offset(Duration::from_secs(300));
    let times = from(&schedule, "2026-03-29T00:05:00Z", 2);
    assert_eq!(times, ["2026-03-29T01:05:00Z", "2026-03-29T02:05:00Z"]);
    assert_eq!(from(&schedule, "2026-03-29T00:04:59.999Z", 1), ["2026-03-29T00:05:00Z"]);
}

#[test]
fn the_first_time_is_not_before_the_start_and_none_is_at_the_end() {
    let schedule =
        Schedule::cron("0 * * * *").starts_at(at("2026-01-01T05:00:00Z")).ends_at(at("2026-01-01T07:00:00Z"));
    let times = from(&schedule, "2026-01-01T00:00:00Z", 9);
    assert_eq!(times, ["2026-01-01T05:00:00Z", "2026-01-01T06:00:00Z"]);
}

#[test]
fn what_cannot_work_says_which_field_and_what_to_do() {
    let complaint = |schedule: Schedule| {
        schedule.starts_named("Report", millrace_core::Payload::null()).check().unwrap_err()
    };
    let hour = Duration::from_secs(3_600);
    for (schedule, expected) in [
        (Schedule::default(), "cron: the schedule says no times; give it `cron` or `every_s`"),
        (Schedule::cron("0 3 * *"), "cron: `0 3 * *` cannot be read: "),
        (Schedule::cron("0 0 3 * * *"), "write five fields: minute, hour, day of month, month, day of week"),
        (Schedule::cron("61 3 * * *"), "cron: `61 3 * * *` cannot be read: "),
        (Schedule::cron("0 0 30 2 *"), "cron: `0 0 30 2 *` never comes true"),
        (berlin("* * * * *").time_zone("Berlin"), "time_zone: there is no `Berlin`; give a name"),
        (Schedule::every(hour).time_zone("UTC"), "time_zone: is for cron expressions"),
        (Schedule::every(hour).offset(hour), "offset: 3600 s is not less than the interval, 3600 s"),
        (Schedule::every(Duration::ZERO), "every: the shortest interval is a second"),
        (Schedule::every(Duration::from_millis(1_500)), "every: 1.5s is not a whole number of seconds"),
        (Schedule::every(hour).remaining(0), "remaining: 0 leaves nothing to do"),
        (
            Schedule::every(hour).jitter(hour).catch_up(Duration::ZERO),
            "catch_up: 0 s is less than the jitter",
        ),
        (
            Schedule::every(hour).starts_at(at("2026-01-01T05:00:00Z")).ends_at(at("2026-01-01T05:00:00Z")),
            "ends_at: ",
        ),
    ] {
        let complaint = complaint(schedule);
        assert!(complaint.contains(expected), "{complaint}");
    }
    let null = || millrace_core::Payload::null();
    for (workflow, expected) in [
        ("millrace.map", "workflow: `millrace.map` is the engine's own"),
        ("millrace.activity", "input: "), // which activity?
    ] {
        let complaint = Schedule::every(hour).starts_named(workflow, null()).check().unwrap_err();
        assert!(complaint.contains(expected), "{complaint}");
    }
    let nameless = Schedule::every(hour).check().unwrap_err();
    assert!(nameless.starts_with("workflow: the workflow type is empty"), "{nameless}");
}

#[test]
fn it_is_the_same_schedule_after_its_way_through_json() {
    let schedule = berlin("0 3 * * MON-FRI")
        .jitter(Duration::from_secs(60))
        .starts_named("R", millrace_core::Payload::null());
    let json = serde_json::to_string(&schedule).unwrap();
    let expected = r#"{"cron":"0 3 * * MON-FRI","time_zone":"Europe/Berlin","workflow":"R","input":null,"overlap":"skip","jitter_s":60}"#;
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
}

#[test]
fn the_forms_that_the_docs_show_are_read() {
    for (cron, first) in [
        ("*/15 9-17 * * MON-FRI", "2026-03-02T09:00:00Z"),
        ("0 0 L * *", "2026-03-31T00:00:00Z"),
        ("@daily", "2026-03-01T00:00:00Z"),
    ] {
        assert_eq!(from(&Schedule::cron(cron), "2026-02-28T23:59:00Z", 1), [first], "{cron}");
    }
}
