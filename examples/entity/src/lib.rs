//! A model's life, from the first training to its retirement, as one workflow that lives for ever.
//!
//! One workflow id is one model. It is told what to do by signals and updates, it is asked by queries, and everybody can
//! see how it stands. From time to time it goes on as a new run, so that its history stays short, and nobody notices.

mod lifecycle;
mod line;

pub use lifecycle::{Lifecycle, Predict, Promote, Retire, Train, Version, model};
pub use line::{Line, Point, fit};
use millrace::App;

/// Everything that the program can run.
pub fn app() -> App {
    App::new().workflow(model).activity(fit)
}
