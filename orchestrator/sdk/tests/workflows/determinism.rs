//! Time, chance and logs in replay; code that has changed.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use millrace::{Blocked, prelude::*};
use tracing_subscriber::prelude::*;

use crate::driver::World;

#[activity]
async fn send_mail(to: String, text: String) -> Result<(), ActivityError>;

#[workflow]
async fn trial(ctx: WorkflowContext, who: String) -> Result<u64, WorkflowError> {
    let begin = ctx.now();
    ctx.activity(send_mail, (who.clone(), "welcome".into())).await?;
    ctx.sleep(days(30)).await?;
    ctx.activity(send_mail, (who, "your trial ends".into())).await?;
    Ok((ctx.now() - begin).as_secs() / 86_400)
}

#[workflow]
async fn chatty(ctx: WorkflowContext) -> Result<(u64, u64, String), WorkflowError> {
    tracing::info!("before");
    let (first, id) = (ctx.random(), ctx.uuid());
    for _ in 0..5 {
        ctx.sleep(secs(1)).await?;
        tracing::info!("tick");
    }
    Ok((first, ctx.random(), id.to_string()))
}

mod v1 {
    use super::*;
    #[workflow(name = "Change")]
    pub async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
    }
}

mod v2 {
    use super::*;
    #[workflow(name = "Change")]
    pub async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        ctx.sleep(secs(1)).await?;
        Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
    }
}

struct Count(&'static AtomicU32);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Count {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target().starts_with("workflows") {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn thirty_days_take_no_time() {
    let mut world = World::new(App::new().workflow(trial)).mock(send_mail, |_| Ok(()));
    world.start(trial, "ann".into()).finish();
    assert_eq!(world.result::<u64>().unwrap(), 30);
    assert_eq!(world.inputs(send_mail)[1], ("ann".to_owned(), "your trial ends".to_owned()));
}

#[test]
fn a_line_is_logged_once_however_often_it_is_replayed() {
    static LINES: AtomicU32 = AtomicU32::new(0);
    let _guard = tracing_subscriber::registry().with(Count(&LINES)).set_default();
    for cold in [false, true] {
        LINES.store(0, SeqCst);
        let mut world = World::new(App::new().workflow(chatty));
        world.cold = cold;
        world.start(chatty, ()).finish();
        assert_eq!(LINES.load(SeqCst), 6, "cold: {cold}");
        let (first, second, id) = world.result::<(u64, u64, String)>().unwrap();
        assert!(first != second && id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    }
}

#[test]
fn changed_code_is_found_out_at_the_event_that_differs() {
    let mut world = World::new(App::new().workflow(v1::change)).mock(send_mail, |_| Ok(()));
    world.start(v1::change, ()).finish();
    let new = App::new().workflow(v2::change).workflow_code();
    let blocked = world.replay_with(&*new).unwrap_err();
    let Blocked::Nondeterminism { event: 2, expected, got } = &blocked else { panic!("{blocked}") };
    assert_eq!(expected, "ActivityScheduled `send_mail` (activity 1)");
    assert_eq!(got, "TimerStarted (timer 1)");
}
