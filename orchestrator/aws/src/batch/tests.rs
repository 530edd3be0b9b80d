use super::*;

fn message(place: usize, size: usize) -> Outgoing {
    Outgoing { place, body: "x".repeat(size), delay_s: 0, error: None }
}

fn sizes(messages: Vec<Outgoing>) -> Vec<usize> {
    batches(messages).iter().map(Vec::len).collect()
}

#[test]
fn a_batch_has_at_most_ten_messages() {
    assert_eq!(sizes((0..25).map(|n| message(n, 1)).collect()), [10, 10, 5]);
}

#[test]
fn a_batch_has_at_most_one_mib() {
    assert_eq!(sizes((0..10).map(|n| message(n, 200 * 1024)).collect()), [5, 5]);
    assert_eq!(sizes(vec![message(0, BATCH_BYTES - 1), message(1, 1), message(2, 1)]), [2, 1]);
    assert_eq!(sizes(vec![message(0, LARGEST_MESSAGE), message(1, 50_000), message(2, 1)]), [1, 2]);
}

#[test]
fn an_error_counts_towards_the_size() {
    let error = Some("no".to_owned());
    assert_eq!(Outgoing { error, ..message(0, 3) }.size(), 3 + 5 + 6 + 2);
}

#[test]
fn seconds_are_rounded_up_and_limited() {
    let longest = Duration::from_secs(900);
    let seconds = |ms| whole_seconds(Duration::from_millis(ms), longest);
    assert_eq!([0, 1, 1_000, 1_001, 899_999, 10_000_000].map(seconds), [0, 1, 1, 2, 900, 900]);
}
