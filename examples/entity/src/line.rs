//! The smallest model that learns anything: a straight line through points.

use millrace::prelude::*;
use serde::{Deserialize, Serialize};

/// What was observed: `(x, y)`.
pub type Point = (f64, f64);

/// `y = slope · x + intercept`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub slope: f64,
    pub intercept: f64,
}

impl Line {
    /// What the line says of an `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.slope * x + self.intercept
    }
}

/// Trains: least squares.
#[activity(start_to_close = "1m")]
pub async fn fit(points: Vec<Point>) -> Result<Line, ActivityError> {
    let n = points.len() as f64;
    let (mean_x, mean_y) =
        points.iter().fold((0.0, 0.0), |(sum_x, sum_y), (x, y)| (sum_x + x / n, sum_y + y / n));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if points.len() < 2 || spread == 0.0 {
        // The same points fail in the same way at every attempt.
        let text = "a line needs points at two different places";
        return Err(ApplicationFailure::new("TooFewPoints", text).non_retryable().into());
    }
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    Ok(Line { slope, intercept: mean_y - slope * mean_x })
}
