//! `cargo run -p saga -- dev`, and in another shell, until the third trip finds everything sold out:
//!
//! ```sh
//! cargo run -q -p saga -- start BookTrip --id trip-1 --input '{"traveler":"Ann"}'
//! cargo run -q -p saga -- show trip-1
//! ```

use std::process::ExitCode;

use millrace::Main;
use saga::{Services, app};

fn main() -> ExitCode {
    Main::new(|data| Services::open(data.join("services"), 2).map(app)).main()
}
