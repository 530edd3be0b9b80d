use millrace::prelude::*;

#[activity]
async fn count() -> u32 {
    1
}

fn main() {}
