use super::{Cursor, Window};

/// The lines of a file that is read through windows of `size` bytes, pages of `most` lines.
fn lines(file: &[u8], size: usize, most: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut from = Cursor { offset: 0, version: "v@1".into() };
    let mut length = size;
    loop {
        let begin = usize::try_from(from.offset).unwrap();
        let end = file.len().min(begin + length);
        let (bytes, is_last) = (file[begin..end].to_vec(), end == file.len());
        let Some(page) = (Window { bytes, from: from.clone(), is_last }).page("x", most).unwrap() else {
            length *= 2;
            continue;
        };
        assert!(page.items.len() <= most);
        all.extend(page.items);
        let Some(next) = page.next else { return all };
        let next = Cursor::parse(&next).unwrap();
        assert!(next.offset > from.offset && next.version == "v@1", "{next:?}");
        (from, length) = (next, size);
    }
}

#[test]
fn every_window_gives_the_same_lines() {
    let files: [(&str, &[&str]); 8] = [
        ("", &[]),
        ("\n", &[""]),
        ("a", &["a"]),
        ("a\n", &["a"]),
        ("a\r\nbb\r\n", &["a", "bb"]),
        ("a\n\n\nlonger line\r\nä", &["a", "", "", "longer line", "ä"]),
        ("\r\n\r", &["", ""]),
        ("one\ntwo\rtoo\nthree\n", &["one", "two\rtoo", "three"]),
    ];
    for (file, expected) in files {
        for size in 1..20 {
            for most in [1, 2, 1_000] {
                assert_eq!(lines(file.as_bytes(), size, most), expected, "{file:?} by {size} and {most}");
            }
        }
    }
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    let window = |bytes: &[u8]| Window {
        bytes: bytes.to_vec(),
        from: Cursor { offset: 100, version: String::new() },
        is_last: false,
    };
    let failure = window(b"fine\nnot \xff\n").page("s3://b/k", 10).unwrap_err();
    assert!(failure.to_string().contains("the line of `s3://b/k` at byte 105 is not UTF-8"), "{failure}");
    let failure = window(&vec![b'x'; 1_000_001]).page("s3://b/k", 10).unwrap_err();
    assert!(failure.to_string().contains("after byte 100 has more than"), "{failure}");
    assert!(Cursor::parse("nonsense").is_err());
}
