//! An inverted index: which word is in which chunk. The same chunks give the same index, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Index {
    chunks: Vec<Chunk>,
    /// The numbers of the chunks that have the word, in order.
    words: BTreeMap<String, BTreeSet<usize>>,
}

impl Index {
    pub fn of(chunks: Vec<Chunk>) -> Self {
        let mut words: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (number, chunk) in chunks.iter().enumerate() {
            for word in words_of(&chunk.text) {
                words.entry(word).or_default().insert(number);
            }
        }
        Self { chunks, words }
    }

    /// How many chunks it has.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// How many different words.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// The chunk that has most of the question's words, where a rare word counts for more: 1 / the number of chunks that have
    /// it. `None` if it knows none of them.
    pub fn best(&self, question: &str) -> Option<&Chunk> {
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        for word in words_of(question) {
            let found = self.words.get(&word).into_iter().flatten();
            let weight = 1.0 / found.clone().count().max(1) as f64;
            found.for_each(|number| *scores.entry(*number).or_default() += weight);
        }
        let best = scores.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        self.chunks.get(best?.0)
    }
}

/// The words of a text: in lower case, of four letters and more, without a plural's s. So `tools` finds `tool`.
fn words_of(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 3);
    words.map(|word| word.to_lowercase().trim_end_matches('s').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_word_decides() {
        let texts = ["saws and tools", "tools and oil for the bicycle", "tools"];
        let chunk = |text: &str| Chunk { document: "a".into(), text: text.into() };
        let index = Index::of(texts.map(chunk).into());
        assert_eq!(index.best("which tool for my bicycles?").unwrap().text, texts[1]);
        assert_eq!(index.best("tool").unwrap().text, texts[0]);
        assert_eq!(index.best("the moon"), None);
    }
}
