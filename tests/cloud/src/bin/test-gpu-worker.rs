//! The fleet worker of the tests' app.

fn main() -> std::process::ExitCode {
    millrace::fleet::worker(millrace_cloud_tests::app::app())
}
