//! The function that makes turns.

fn main() -> std::process::ExitCode {
    millrace::lambda::orchestrator(millrace_functions::train_test_deploy())
}
