//! The worker function of the task queue `cpu` of the tests' app.

fn main() -> std::process::ExitCode {
    millrace::lambda::worker(millrace_cloud_tests::app::app())
}
