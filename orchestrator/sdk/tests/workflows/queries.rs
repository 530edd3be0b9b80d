//! Queries: answered from the history by whoever has the code, and nothing is recorded.

use std::time::Duration;

use futures::executor::block_on;
use millrace::dev::{Dev, Folder, Options};
use millrace::{Blocked, RunError, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default)]
struct Cart(Vec<(String, u32)>);

#[derive(Debug, Signal, Serialize, Deserialize)]
struct Put(String, u32);
#[derive(Debug, Signal, Serialize, Deserialize)]
struct Pay;
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = u32)]
struct Total;
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = Option<u32>)]
struct Quantity(String);
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = ())]
struct Unanswered;

#[workflow(accepts(Put, Pay, Total, Quantity, Unanswered))]
async fn cart(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let _cart = ctx
        .state(Cart::default())
        .on_signal(|cart, Put(sku, quantity)| cart.0.push((sku, quantity)))
        .on_query(|cart, Total| cart.0.iter().map(|(_, quantity)| quantity).sum())
        .on_query(|cart, Quantity(sku)| {
            assert!(sku != "bomb", "on purpose");
            cart.0.iter().find(|(known, _)| *known == sku).map(|(_, quantity)| *quantity)
        });
    ctx.signals::<Pay>().recv().await?;
    Ok(())
}

/// The same workflow after a change that old runs do not follow.
mod changed {
    use super::*;

    #[workflow(name = "Cart", accepts(Put, Pay, Total, Quantity, Unanswered))]
    pub async fn cart(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        let _cart = ctx.state(Cart::default()).on_query(|_, Total| 0);
        ctx.signals::<Pay>().recv().await?;
        Ok(ctx.sleep(days(1)).await?)
    }
}

#[test]
fn a_query_is_answered_and_nothing_is_recorded() {
    let dev = Dev::start(&App::new().workflow(cart), Options::in_memory()).unwrap();
    block_on(async {
        let run = dev.client().start(cart, "a", ()).await.unwrap();
        assert_eq!(run.query(Total).await, Ok(0));
        run.signal(Put("tea".into(), 2)).await.unwrap();
        run.signal(Put("jam".into(), 3)).await.unwrap();
        let before = run.history().await.unwrap();
        assert_eq!(run.query(Total).await, Ok(5));
        assert_eq!(run.query(Quantity("tea".into())).await, Ok(Some(2)));
        assert_eq!(run.query(Quantity("oil".into())).await, Ok(None));
        assert_eq!(run.history().await.unwrap(), before);
        run.signal(Pay).await.unwrap();
        run.result().await.unwrap();
        assert_eq!(run.query(Total).await, Ok(5), "also after the end");
    });
}

#[test]
fn what_cannot_be_answered_says_why() {
    let dev = Dev::start(&App::new().workflow(cart), Options::in_memory()).unwrap();
    block_on(async {
        let run = dev.client().start(cart, "a", ()).await.unwrap();
        let unknown = run.query(Unanswered).await;
        let text = "name: workflow `Cart` answers no query `unanswered`";
        assert_eq!(unknown, Err(RunError::Rejected(text.into())));
        let panicked = run.query(Quantity("bomb".into())).await;
        assert!(
            matches!(&panicked, Err(RunError::Rejected(text)) if text.contains("on purpose")),
            "{panicked:?}"
        );
        assert_eq!(run.query(Total).await, Ok(0), "the run does not notice");
        let nobody = dev.client().handle(cart, "nobody").unwrap().query(Total).await;
        assert!(matches!(nobody, Err(RunError::NotFound(_))), "{nobody:?}");
        let later = dev.client().start(cart, "later", ()).delay(hours(1)).await.unwrap();
        let early = later.query(Total).await;
        assert!(matches!(&early, Err(RunError::Rejected(text)) if text.contains("begins at")), "{early:?}");
    });
}

#[test]
fn no_engine_is_needed_but_the_code_is() {
    let data = tempfile::tempdir().unwrap();
    let app = App::new().workflow(cart);
    let options = Options { port: None, grace: Duration::ZERO, ..Options::new(data.path()) };
    let dev = Dev::start(&app, options.clone()).unwrap();
    block_on(async {
        let run = dev.client().start(cart, "a", ()).await.unwrap();
        run.signal(Put("tea".into(), 2)).await.unwrap();
        run.signal(Pay).await.unwrap();
        run.result().await.unwrap();
        drop(run); // as long as a handle is there, the folder is in use
        dev.stop().await;
        let folder = Folder::open(data.path(), options.namespace).unwrap();
        assert_eq!(folder.client_with(&app).handle(cart, "a").unwrap().query(Total).await, Ok(2));
        let without = folder.client().handle(cart, "a").unwrap().query(Total).await;
        assert!(
            matches!(&without, Err(RunError::Rejected(text)) if text.contains("this program has none")),
            "{without:?}"
        );
        let other = App::new().workflow(changed::cart);
        let changed = folder.client_with(&other).handle(cart, "a").unwrap().query(Total).await;
        assert!(matches!(changed, Err(RunError::Blocked(Blocked::Nondeterminism { .. }))), "{changed:?}");
        let empty = folder.client_with(&App::new()).handle(cart, "a").unwrap().query(Total).await;
        assert!(matches!(empty, Err(RunError::Blocked(Blocked::UnknownWorkflow { .. }))), "{empty:?}");
    });
}
