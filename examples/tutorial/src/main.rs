use std::process::ExitCode;

use millrace::prelude::*;

mod approval;
mod cart;
mod payment;
mod render;
mod timer;
mod warehouse;

#[activity]
async fn greet(name: String) -> Result<String, ActivityError> {
    Ok(format!("hello {name}"))
}

#[workflow]
async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> {
    let greeting = ctx.activity(greet, name).await?;
    Ok(greeting + ", and welcome")
}

fn main() -> ExitCode {
    let app = App::new().workflow(welcome).activity(greet);
    let app = payment::add(app);
    let app = warehouse::add(app);
    let app = timer::add(app);
    let app = approval::add(app);
    let app = cart::add(app);
    let app = render::add(app);
    app.main()
}
