//! The handwritten digits: loaded, checked, split.
//!
//! Every [`Example`] that leaves this module has 64 pixels in 0..=16 and a label in 0..=9; nobody checks
//! again. The data is compiled into the binary, so that a worker trains from whatever folder it was started
//! in. `data/README.md` says where the data comes from. Nothing here scales, shuffles or drops a row.

use std::str::FromStr;

/// The pixels of one 8 × 8 image.
pub const PIXELS: usize = 64;
/// The digits are 0 to 9.
pub const CLASSES: u8 = 10;
/// The darkest pixel: all 16 points of its 4 × 4 block are inked.
pub const DARKEST: u8 = 16;

const COLUMNS: usize = PIXELS + 1;
/// Every fifth row is held out.
const FOLD: usize = 5;

/// One image, row by row from the top left, and the digit its writer meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// From 0, blank, to [`DARKEST`].
    pub pixels: [u8; PIXELS],
    /// 0 to 9.
    pub label: u8,
}

/// The whole data set, in the order of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    /// Never empty.
    pub examples: Vec<Example>,
}

/// A row to learn from is never a row to be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Four fifths, in file order.
    pub training: Vec<Example>,
    /// Every fifth row, in file order.
    pub held_out: Vec<Example>,
}

/// Why a text is not the digits. Lines and columns count from 1, as editors and spreadsheets do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum BadDigits {
    #[error("the digits are empty: not one line")]
    Empty,
    #[error("digits line {line} ends at column {found}: expected {COLUMNS} columns, 64 pixels and the digit")]
    Width { line: usize, found: usize },
    #[error("digits line {line}, column {column}: `{value}` is not a whole number from 0 to {most}")]
    Value { line: usize, column: usize, value: String, most: u8 },
}

impl Digits {
    /// The 1,797 digits of `data/digits.csv`.
    pub fn embedded() -> Result<Self, BadDigits> {
        include_str!("../data/digits.csv").parse()
    }

    /// Holds out every fifth row. No chance is involved: a retried test activity, on any machine, judges by
    /// the same rows.
    pub fn split(self) -> Split {
        let (mut training, mut held_out) = (Vec::new(), Vec::new());
        for (row, example) in self.examples.into_iter().enumerate() {
            let part = if row % FOLD == FOLD - 1 { &mut held_out } else { &mut training };
            part.push(example);
        }
        Split { training, held_out }
    }
}

impl FromStr for Digits {
    type Err = BadDigits;

    fn from_str(csv: &str) -> Result<Self, BadDigits> {
        let examples: Vec<_> =
            csv.lines().enumerate().map(|(row, text)| example(row + 1, text)).collect::<Result<_, _>>()?;
        if examples.is_empty() { Err(BadDigits::Empty) } else { Ok(Self { examples }) }
    }
}

fn example(line: usize, text: &str) -> Result<Example, BadDigits> {
    let found = text.split(',').count();
    if found != COLUMNS {
        return Err(BadDigits::Width { line, found });
    }
    let mut pixels = [0; PIXELS];
    let mut label = 0;
    for (column, value) in text.split(',').enumerate() {
        match pixels.get_mut(column) {
            Some(pixel) => *pixel = number(line, column + 1, value, DARKEST)?,
            None => label = number(line, column + 1, value, CLASSES - 1)?,
        }
    }
    Ok(Example { pixels, label })
}

fn number(line: usize, column: usize, value: &str, most: u8) -> Result<u8, BadDigits> {
    match value.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(BadDigits::Value { line, column, value: value.to_owned(), most }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str) -> String {
        format!("{}{label}", "0,".repeat(PIXELS))
    }

    #[test]
    fn the_embedded_data_is_the_published_one() {
        let digits = Digits::embedded().unwrap();
        let count = |label| digits.examples.iter().filter(|e| e.label == label).count();
        assert_eq!(digits.examples.len(), 1797);
        assert_eq!(
            (0..CLASSES).map(count).collect::<Vec<_>>(),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
    }

    #[test]
    fn every_fifth_row_is_held_out() {
        let digits = Digits::embedded().unwrap();
        let (fourth, fifth, sixth) =
            (digits.examples[3].clone(), digits.examples[4].clone(), digits.examples[5].clone());
        let split = digits.split();
        assert_eq!((split.training.len(), split.held_out.len()), (1438, 359));
        assert_eq!((&split.training[3], &split.held_out[0], &split.training[4]), (&fourth, &fifth, &sixth));
        assert!((0..CLASSES).all(|label| split.held_out.iter().any(|e| e.label == label)));
    }

    #[test]
    fn a_value_out_of_range_is_named_by_line_and_column() {
        let csv = format!("{}\n{}\n", line("3"), line("0").replacen('0', "17", 1));
        let error = csv.parse::<Digits>().unwrap_err();
        assert_eq!(error.to_string(), "digits line 2, column 1: `17` is not a whole number from 0 to 16");
    }

    #[test]
    fn a_label_that_is_no_digit_is_named_by_line_and_column() {
        for bad in ["10", "-1", "x", "", " 7", "1.0"] {
            let error = line(bad).parse::<Digits>().unwrap_err();
            assert_eq!(error, BadDigits::Value { line: 1, column: 65, value: bad.into(), most: 9 });
        }
    }

    #[test]
    fn a_short_or_long_or_blank_line_is_named() {
        let csv = format!("{}\n1,2,3\n", line("3"));
        let error = csv.parse::<Digits>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "digits line 2 ends at column 3: expected 65 columns, 64 pixels and the digit"
        );
        assert_eq!(line("3,4").parse::<Digits>(), Err(BadDigits::Width { line: 1, found: 66 }));
        assert_eq!("\n".parse::<Digits>(), Err(BadDigits::Width { line: 1, found: 1 }));
        assert_eq!("".parse::<Digits>(), Err(BadDigits::Empty));
    }
}
