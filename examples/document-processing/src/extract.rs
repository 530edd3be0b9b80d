//! Text out of a file: plain, Markdown, HTML.

use std::fmt;

/// A file that no text can be taken from.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    UnknownFormat(String),
    NotText(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFormat(name) => write!(f, "`{name}` is none of .txt, .md, .html"),
            Self::NotText(name) => write!(f, "`{name}` is not text in UTF-8"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The text of a file, by its name's ending. Paragraphs stay apart by an empty line.
pub fn extract(name: &str, bytes: Vec<u8>) -> Result<String, Unreadable> {
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::NotText(name.to_owned()))?;
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("txt") => Ok(text),
        Some("md") => Ok(without_marks(&text)),
        Some("html") => Ok(without_tags(&text)),
        _ => Err(Unreadable::UnknownFormat(name.to_owned())),
    }
}

fn without_marks(markdown: &str) -> String {
    markdown.chars().filter(|c| !matches!(c, '#' | '*' | '`' | '_')).collect()
}

fn without_tags(html: &str) -> String {
    let (mut text, mut in_tag) = (String::new(), false);
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, content: &str) -> String {
        extract(name, content.into()).unwrap()
    }

    #[test]
    fn marks_and_tags_are_left_out() {
        assert_eq!(text("a.md", "# Hours\n\nopen at *noon*"), " Hours\n\nopen at noon");
        assert_eq!(text("a.html", "<p>tools &amp; <b>saws</b></p>"), "tools & saws");
        assert_eq!(text("a.txt", "a < b"), "a < b");
    }

    #[test]
    fn what_is_no_text_is_named() {
        assert_eq!(extract("a.pdf", vec![]), Err(Unreadable::UnknownFormat("a.pdf".into())));
        assert_eq!(extract("a.txt", vec![0xff]), Err(Unreadable::NotText("a.txt".into())));
    }
}
