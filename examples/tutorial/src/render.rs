use millrace::prelude::*;

const FRAMES: u32 = 30;

#[activity]
async fn rent_gpu() -> Result<String, ActivityError> {
    Ok("gpu-7".into())
}

#[activity(task_queue = "gpu", heartbeat = "10s", start_to_close = "1h")]
async fn render(ctx: ActivityContext, gpu: String) -> Result<u32, ActivityError> {
    let begin: u32 = ctx.progress().unwrap_or(0);
    println!("{gpu}: attempt {} begins at frame {begin}", ctx.attempt);
    for frame in begin..FRAMES {
        tokio::time::sleep(secs(1)).await; // one frame's work
        ctx.heartbeat(&(frame + 1))?;
    }
    Ok(FRAMES - begin)
}

#[activity]
async fn return_gpu(gpu: String) -> Result<(), ActivityError> {
    println!("{gpu}: returned");
    Ok(())
}

#[workflow]
async fn film(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let gpu = ctx.activity(rent_gpu, ()).await?;
    let rendered = ctx.activity(render, gpu.clone()).await;
    ctx.shielded().activity(return_gpu, gpu).await?; // whatever happened
    Ok(rendered?)
}

pub fn add(app: App) -> App {
    app.workflow(film).activity(rent_gpu).activity(render).activity(return_gpu)
}
