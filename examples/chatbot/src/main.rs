//! `cargo run -p chatbot -- dev`, and in another shell:
//!
//! ```sh
//! cargo run -q -p chatbot -- start Session --id ann --input '"Ann"'
//! cargo run -q -p chatbot -- update ann ask --input '"May I borrow a saw?"'
//! cargo run -q -p chatbot -- show ann
//! ```

use std::path::Path;
use std::process::ExitCode;

use chatbot::{Archive, app, read_handbook};
use millrace::Main;

/// The documents of the example beside this one.
const HANDBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../document-processing/documents");

fn main() -> ExitCode {
    Main::new(|data| {
        let handbook = read_handbook(Path::new(HANDBOOK))?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(app(handbook, Archive(data.join("transcripts"))))
    })
    .main()
}
