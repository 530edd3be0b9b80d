//! The orchestrator function of the tests' app.

fn main() -> std::process::ExitCode {
    millrace::lambda::orchestrator(millrace_cloud_tests::app::app())
}
