//! The classifier: ten logistic regressions, one per digit, each asking "this digit or any other?"; the
//! surest one names the digit.
//!
//! Training goes digit by digit because the ten fits know nothing of each other: the [`ClassWeights`] fitted
//! so far are the whole checkpoint, and a worker that takes over after a crash fits only the rest. A fit
//! starts from zero weights, uses no chance and one thread, and is plain Rust arithmetic in a fixed order, so
//! the same rows give the same bits on the same platform; on another one `exp` and `ln` may differ in the
//! last bit, and with them the weights.
//!
//! A [`Model`] is complete and finite by construction, also when it was read from JSON. Nothing is tuned: the
//! penalty is the customary 1, chosen before the held-out rows were looked at, so that they stay an honest
//! judge.

use crate::digits::{CLASSES, DARKEST, Example, PIXELS};
use serde::{Deserialize, Serialize};
use smartcore::error::Failed;
use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

/// The weight of the squared weights in the loss, on pixels scaled to 0..=1.
const L2_PENALTY: f64 = 1.0;

/// One digit against the rest, fitted: one step of training and one entry of its checkpoint.
///
/// `f32` halves the checkpoint, and a JSON round trip gives the same bits back. An `f64` can lose its last
/// bit in serde_json unless `float_roundtrip` is on, and the artifact's hash would change on its way between
/// two activities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassWeights {
    /// The digit told from the rest.
    pub digit: u8,
    /// The log-odds of a blank image.
    pub bias: f32,
    /// One per pixel, in the pixels' order, for pixels scaled to 0..=1.
    pub weights: Vec<f32>,
}

/// A trained classifier; as JSON it is the artifact that is deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Untrusted")]
pub struct Model {
    classes: Vec<ClassWeights>,
}

/// A model as it is read, before anyone has looked at it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Untrusted {
    classes: Vec<ClassWeights>,
}

/// Why a digit could not be fitted. Another attempt with the same rows fails in the same way.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum FitError {
    #[error("digit {digit} cannot be told from the rest: {examples} of the {rows} training rows show it")]
    OneSided { digit: u8, examples: usize, rows: usize },
    #[error("digit {digit} was not fitted")]
    Solver { digit: u8, source: Failed },
}

/// Why fitted classes are not a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum NotAModel {
    #[error("a model has the digits 0 to 9 in order, this one has {found:?}")]
    Digits { found: Vec<u8> },
    #[error("digit {digit} has {found} weights, expected one for each of the {PIXELS} pixels")]
    Weights { digit: u8, found: usize },
    #[error("digit {digit} has a weight that is not a finite number")]
    NotFinite { digit: u8 },
}

/// Fits one digit against the rest: one step of training.
pub fn fit_class(digit: u8, training: &[Example]) -> Result<ClassWeights, FitError> {
    let answers: Vec<u32> = training.iter().map(|example| u32::from(example.label == digit)).collect();
    let examples = answers.iter().filter(|&&answer| answer == 1).count();
    if examples == 0 || examples == training.len() {
        return Err(FitError::OneSided { digit, examples, rows: training.len() });
    }
    let parameters = LogisticRegressionParameters::default().with_alpha(L2_PENALTY);
    let fitted = images(training)
        .and_then(|images| LogisticRegression::fit(&images, &answers, parameters))
        .map_err(|source| FitError::Solver { digit, source })?;
    Ok(ClassWeights {
        digit,
        bias: fitted.intercept().iterator(0).map(|&bias| bias as f32).sum(),
        weights: fitted.coefficients().iterator(0).map(|&weight| weight as f32).collect(),
    })
}

fn images(examples: &[Example]) -> Result<DenseMatrix<f64>, Failed> {
    let pixels = examples.iter().flat_map(|example| example.pixels.iter().copied().map(scaled)).collect();
    DenseMatrix::new(examples.len(), PIXELS, pixels, false)
}

/// Raw counts of 0..=16 would make the penalty weak and the solver slow.
fn scaled(pixel: u8) -> f64 {
    f64::from(pixel) / f64::from(DARKEST)
}

impl ClassWeights {
    /// How sure this class is that the image shows its digit (log-odds).
    fn score(&self, pixels: &[u8; PIXELS]) -> f64 {
        let weighted =
            self.weights.iter().zip(pixels).map(|(&weight, &pixel)| f64::from(weight) * scaled(pixel));
        weighted.fold(f64::from(self.bias), |sum, term| sum + term)
    }

    fn check(&self) -> Result<(), NotAModel> {
        let digit = self.digit;
        if self.weights.len() != PIXELS {
            return Err(NotAModel::Weights { digit, found: self.weights.len() });
        }
        if !self.bias.is_finite() || !self.weights.iter().all(|weight| weight.is_finite()) {
            return Err(NotAModel::NotFinite { digit });
        }
        Ok(())
    }
}

impl Model {
    /// The end of training: the ten fitted digits, in order, as one model.
    pub fn from_classes(classes: Vec<ClassWeights>) -> Result<Self, NotAModel> {
        if !classes.iter().map(|class| class.digit).eq(0..CLASSES) {
            return Err(NotAModel::Digits { found: classes.iter().map(|class| class.digit).collect() });
        }
        classes.iter().try_for_each(ClassWeights::check)?;
        Ok(Self { classes })
    }

    /// The digit the image most likely shows; of two equally likely ones, the smaller.
    pub fn predict(&self, pixels: &[u8; PIXELS]) -> u8 {
        let scores = self.classes.iter().map(|class| (class.digit, class.score(pixels)));
        scores.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0, |(digit, _)| digit)
    }

    /// The share of the examples that are named rightly, 0.0 to 1.0; of no examples at all, 0.0, which passes
    /// no threshold.
    pub fn accuracy(&self, held_out: &[Example]) -> f64 {
        let right = held_out.iter().filter(|example| self.predict(&example.pixels) == example.label).count();
        right as f64 / held_out.len().max(1) as f64
    }

    /// The artifact: equal models give equal bytes, hence one hash.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

impl TryFrom<Untrusted> for Model {
    type Error = NotAModel;

    fn try_from(read: Untrusted) -> Result<Self, NotAModel> {
        Self::from_classes(read.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::{Digits, Split};
    use std::sync::LazyLock;

    static SPLIT: LazyLock<Split> = LazyLock::new(|| Digits::embedded().unwrap().split());
    static FITTED: LazyLock<Vec<ClassWeights>> =
        LazyLock::new(|| (0..CLASSES).map(|digit| fit_class(digit, &SPLIT.training).unwrap()).collect());

    fn model() -> Model {
        Model::from_classes(FITTED.clone()).unwrap()
    }

    #[test]
    fn held_out_accuracy_is_above_93_percent() {
        let accuracy = model().accuracy(&SPLIT.held_out);
        assert!((0.93..1.0).contains(&accuracy), "{accuracy}");
    }

    #[test]
    fn labels_are_what_it_learns() {
        let shifted: Vec<_> =
            SPLIT.held_out.iter().map(|e| Example { label: (e.label + 1) % CLASSES, ..e.clone() }).collect();
        assert!(model().accuracy(&shifted) < 0.07);
        assert_eq!(model().accuracy(&[]), 0.0);
    }

    #[test]
    fn same_rows_same_bits() {
        assert_eq!(fit_class(8, &SPLIT.training).unwrap(), FITTED[8]);
    }

    #[test]
    fn a_checkpoint_survives_json_bit_for_bit() {
        let checkpoint = serde_json::to_value(&FITTED[..4]).unwrap(); // a Value: its numbers are f64
        let read: Vec<ClassWeights> = serde_json::from_str(&checkpoint.to_string()).unwrap();
        assert_eq!(read, FITTED[..4]);
        let resumed = Model::from_classes([&read, &FITTED[4..]].concat()).unwrap();
        assert_eq!(resumed.to_json().unwrap(), model().to_json().unwrap());
    }

    #[test]
    fn the_artifact_is_small_and_reads_back_the_same() {
        let json = model().to_json().unwrap();
        assert!(json.len() < 20_000, "{} bytes", json.len());
        let read: Model = serde_json::from_slice(&json).unwrap();
        assert_eq!(read, model());
        assert_eq!(read.to_json().unwrap(), json);
    }

    #[test]
    fn a_digit_nobody_wrote_is_refused() {
        let error = fit_class(10, &SPLIT.training).unwrap_err();
        assert_eq!(
            error.to_string(),
            "digit 10 cannot be told from the rest: 0 of the 1438 training rows show it"
        );
        let only_ones: Vec<_> = SPLIT.training.iter().filter(|e| e.label == 1).cloned().collect();
        assert!(matches!(fit_class(1, &only_ones), Err(FitError::OneSided { .. })));
        assert!(matches!(fit_class(1, &[]), Err(FitError::OneSided { .. })));
    }

    #[test]
    fn an_incomplete_or_damaged_model_is_refused() {
        assert_eq!(Model::from_classes(FITTED[..2].to_vec()), Err(NotAModel::Digits { found: vec![0, 1] }));
        let mut short = FITTED.clone();
        short[3].weights.pop();
        assert_eq!(Model::from_classes(short), Err(NotAModel::Weights { digit: 3, found: 63 }));
        let mut infinite = FITTED.clone();
        infinite[4].bias = f32::INFINITY;
        assert_eq!(Model::from_classes(infinite), Err(NotAModel::NotFinite { digit: 4 }));
        let error = serde_json::from_str::<Model>(r#"{"classes":[]}"#).unwrap_err();
        assert_eq!(error.to_string(), "a model has the digits 0 to 9 in order, this one has []");
    }
}
