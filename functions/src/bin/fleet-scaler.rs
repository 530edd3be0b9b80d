//! The function that brings machines of the fleet up.

fn main() -> std::process::ExitCode {
    millrace::fleet::scaler()
}
