//! The function that a schedule calls, for tasks that killed their workers.

fn main() -> std::process::ExitCode {
    millrace::lambda::dead_letters()
}
