//! `cargo run -p entity -- dev`, and in another shell:
//!
//! ```sh
//! cargo run -q -p entity -- start Model --id prices --input '{}'
//! cargo run -q -p entity -- signal prices train --input '{"points":[[1,10],[2,20],[3,30]]}'
//! cargo run -q -p entity -- update prices promote --input '{"version":1}'
//! cargo run -q -p entity -- query prices predict --input '{"x":7}'
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    entity::app().main()
}
