use futures::future::try_join_all;
use millrace::prelude::*;

#[activity]
async fn pick(item: String) -> Result<usize, ActivityError> {
    tokio::time::sleep(secs(1)).await; // the way to the shelf
    Ok(item.len() * 100)
}

#[activity]
async fn print_label(customer: String) -> Result<String, ActivityError> {
    Ok(format!("to {customer}"))
}

#[workflow]
async fn pack(ctx: WorkflowContext, customer: String, items: Vec<String>) -> Result<String, WorkflowError> {
    let picked = try_join_all(items.into_iter().map(|item| ctx.activity(pick, item)));
    let (grams, label) = try_join!(picked, ctx.activity(print_label, customer))?;
    Ok(format!("{label}: {} g", grams.iter().sum::<usize>()))
}

pub fn add(app: App) -> App {
    app.workflow(pack).activity(pick).activity(print_label)
}
