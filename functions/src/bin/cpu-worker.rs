//! The function that runs the activities of the task queue `cpu`.

fn main() -> std::process::ExitCode {
    millrace::lambda::worker(millrace_functions::train_test_deploy())
}
