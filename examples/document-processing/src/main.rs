//! `cargo run -p document-processing -- dev`, and in another shell:
//!
//! ```sh
//! cargo run -q -p document-processing -- start IndexDocuments --id handbook \
//!   --input '{"folder":"examples/document-processing/documents"}'
//! cargo run -q -p document-processing -- show handbook      # the draft
//! cargo run -q -p document-processing -- signal handbook decide --input '{"by":"Ann","publish":true}'
//! cargo run -q -p document-processing -- result handbook    # the index is .millrace/workspace/index.json
//! ```

use std::process::ExitCode;

use document_processing::workflow::app;
use document_processing::workspace::Workspace;
use millrace::Main;

fn main() -> ExitCode {
    Main::new(|data| Workspace::open(data.join("workspace")).map(app)).main()
}
