//! The stand-alone client: looks into any data folder, and asks for things there. It runs no workflows.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace::verbs::Main::client_only().main()
}
