//! The process that serves the task queue `gpu` on a machine of a fleet.

fn main() -> std::process::ExitCode {
    millrace::fleet::worker(millrace_functions::train_test_deploy())
}
