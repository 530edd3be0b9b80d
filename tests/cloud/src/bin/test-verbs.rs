//! The command line of the tests' own app.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace_cloud_tests::app::app().main()
}
