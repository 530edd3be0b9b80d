//! The function that a schedule calls, for far timers and forgotten messages.

fn main() -> std::process::ExitCode {
    millrace::lambda::timer_tick()
}
