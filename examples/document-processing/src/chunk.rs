//! Pieces of text, small enough to be an answer.

use serde::{Deserialize, Serialize};

/// A piece holds whole paragraphs up to so many words, or one longer paragraph.
const WORDS: usize = 60;

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    pub document: String,
    pub text: String,
}

/// Cuts a text between its paragraphs.
pub fn cut(document: &str, text: &str) -> Vec<Chunk> {
    let mut pieces: Vec<Vec<&str>> = Vec::new();
    for paragraph in text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>()) {
        match pieces.last_mut() {
            _ if paragraph.is_empty() => {}
            Some(last) if last.len() + paragraph.len() <= WORDS => last.extend(paragraph),
            _ => pieces.push(paragraph),
        }
    }
    pieces.into_iter().map(|words| Chunk { document: document.to_owned(), text: words.join(" ") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_stay_whole() {
        let (long, short) = ("word ".repeat(59), "two words");
        let pieces = cut("a", &format!("Title\n\n{long}\n\n \n\n{short}\n\n{short}"));
        let words: Vec<usize> = pieces.iter().map(|piece| piece.text.split(' ').count()).collect();
        assert_eq!(words, [60, 4]);
    }
}
