use millrace::prelude::*;

#[activity]
async fn elsewhere(n: u32) -> Result<u32, ActivityError>;

fn main() {
    let _ = App::new().activity(elsewhere);
}
