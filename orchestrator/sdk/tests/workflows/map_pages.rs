//! One activity over items that come in pages.

use std::fs;
use std::path::Path;

use millrace::client::{Event, EventKind, Filter};
use millrace::sources::{self, Keys, Lines};
use millrace::{Handle, MapSummary, Page, TestEnv, Workflow, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::fault;

/// Numbers up to some, so many at a time.
#[activity]
async fn numbers(of: Numbers, cursor: Option<String>) -> Result<Page<u32>, ActivityError>;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Numbers {
    up_to: u32,
    page: u32,
}

fn some_numbers(Numbers { up_to, page }: Numbers, cursor: Option<&str>) -> Result<Page<u32>, ActivityError> {
    let first: u32 = cursor.unwrap_or("0").parse()?;
    let end = up_to.min(first + page);
    Ok(Page { items: (first..end).collect(), next: (end < up_to).then(|| end.to_string()) })
}

#[activity]
async fn double(n: u32) -> Result<u32, ActivityError>;

fn doubled(n: u32) -> Result<u32, ActivityError> {
    if n % 100 == 13 {
        Err(ApplicationFailure::new("Unlucky", n).non_retryable())?
    }
    Ok(n * 2)
}

#[workflow]
async fn doubles(
    ctx: WorkflowContext,
    of: Numbers,
    tolerate: usize,
) -> Result<Vec<Option<u32>>, WorkflowError> {
    let doubled = ctx.map_pages(double, numbers, of).tolerate(tolerate).await?;
    Ok(doubled.into_iter().map(Result::ok).collect())
}

#[workflow]
async fn counts(ctx: WorkflowContext, of: Numbers, share: f64) -> Result<MapSummary, WorkflowError> {
    let map = ctx.map_pages(double, numbers, of).concurrency(1_000).tolerate_share(share);
    Ok(map.summary().await?)
}

#[workflow]
async fn counts_here(ctx: WorkflowContext, up_to: u32) -> Result<MapSummary, WorkflowError> {
    Ok(ctx.map(double, 0..up_to).tolerate_share(0.5).summary().await?)
}

fn env() -> TestEnv {
    let env = TestEnv::new().workflow(doubles).workflow(counts).workflow(counts_here);
    env.mock(numbers, |(of, cursor)| some_numbers(of, cursor.as_deref())).mock(double, doubled).keep_code()
}

fn expected(up_to: u32) -> Vec<Option<u32>> {
    (0..up_to).map(|n| (n % 100 != 13).then_some(n * 2)).collect()
}

async fn events<W: Workflow>(run: &Handle<W>) -> Vec<Event> {
    run.history().await.unwrap()
}

/// The histories of all runs of a type.
async fn histories(env: &TestEnv, workflow: &str) -> Vec<Vec<Event>> {
    let filter = Filter { workflow: Some(workflow.parse().unwrap()), limit: 1_000, ..Filter::default() };
    let mut all = Vec::new();
    for run in env.list(&filter).await.unwrap() {
        let entry = run.entry;
        all.push(env.backend().history(&entry.workflow_id, Some(entry.run_id)).await.unwrap());
    }
    all
}

#[tokio::test]
async fn results_keep_their_order_over_pages() {
    let env = env();
    for (id, up_to, page) in [("many", 255, 10), ("one", 7, 10), ("exact", 30, 10)] {
        let run = env.start(doubles, id, (Numbers { up_to, page }, 3)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), expected(up_to));
    }
}

#[tokio::test]
async fn ten_thousand_items_are_a_handful_of_events() {
    let env = env();
    let of = Numbers { up_to: 10_000, page: 1_000 };
    let run = env.start(counts, "c", (of, 0.01)).await.unwrap();
    let summary = run.result().await.unwrap();
    assert_eq!((summary.count, summary.failed, summary.failures.len()), (10_000, 100, 10));
    assert_eq!(summary.failures[0].item.as_str(), "13");
    assert!(summary.failures[0].failure.is("Unlucky"));

    let asking = events(&run).await;
    assert!(asking.len() <= 5, "{asking:#?}");
    let driving = histories(&env, "millrace.map_pages").await;
    // A shard is scheduled, tells of its page, and ends.
    assert!(driving[0].len() <= 10 * 4 + 5, "{}", driving[0].len());
    let size = format!("{:?}", driving[0]).len();
    assert!(size < 40_000, "no item is named, but of those that failed some: {size}");
    let shards = histories(&env, "millrace.shard").await;
    assert_eq!(shards.len(), 10);
    let is_page = |event: &&Event| matches!(&event.kind, EventKind::ActivityScheduled(scheduled) if scheduled.activity == "numbers");
    assert!(
        shards.iter().all(|events| events.iter().filter(is_page).count() == 1),
        "each reads its own page"
    );
}

#[tokio::test]
async fn a_driver_whose_history_is_long_goes_on_as_new() {
    let env = env().history_limit(30);
    let run = env.start(doubles, "d", (Numbers { up_to: 300, page: 5 }, 3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), expected(300));
    let driving = histories(&env, "millrace.map_pages").await;
    assert!(driving.len() > 2, "{}", driving.len());
    assert!(driving.iter().all(|events| events.len() < 70), "{:?}", driving.iter().map(Vec::len));
}

#[tokio::test]
async fn tolerated_failures_are_counted_over_all_pages() {
    let env = env();
    let of = Numbers { up_to: 1_000, page: 100 };
    let text = fault(&env.start(doubles, "one", (of, 1)).await.unwrap()).await.to_string();
    assert!(text.contains("TooManyFailures: 2 of") && text.contains("items failed, 1 may"), "{text}");
    let of = Numbers { up_to: 300, page: 100 };
    let text = fault(&env.start(counts, "share", (of, 0.005)).await.unwrap()).await.to_string();
    assert!(text.contains("TooManyFailures: 2 of 300 items failed, 0.5% may"), "{text}");
    let summary = env.start(counts_here, "here", 1_210).await.unwrap().result().await.unwrap();
    assert_eq!((summary.count, summary.failed), (1_210, 12));
}

#[activity]
async fn endless(_what: u32, _cursor: Option<String>) -> Result<Page<u32>, ActivityError>;

#[workflow]
async fn over_endless(ctx: WorkflowContext) -> Result<MapSummary, WorkflowError> {
    Ok(ctx.map_pages(double, endless, 0).summary().await?)
}

#[workflow]
async fn misused(ctx: WorkflowContext) -> Result<MapSummary, WorkflowError> {
    Ok(ctx.map(double, [1]).pages_at_once(3).summary().await?)
}

#[tokio::test]
async fn what_cannot_work_is_told() {
    let mut tries = 0;
    let env = TestEnv::new().workflow(over_endless).workflow(misused).mock(double, doubled);
    let env = env.mock(endless, move |_| {
        tries += 1;
        match tries {
            1 => Ok(Page { items: vec![], next: Some("a".into()) }), // An empty page is not the last.
            2 => Ok(Page { items: vec![1], next: Some("a".into()) }),
            _ => Err(ApplicationFailure::new("Gone", "no such region").non_retryable().into()),
        }
    });
    let text = fault(&env.start(over_endless, "a", ()).await.unwrap()).await.to_string();
    assert!(text.contains("the paging activity `endless` gives back the cursor that it was given"), "{text}");
    let text = fault(&env.start(over_endless, "b", ()).await.unwrap()).await.to_string();
    assert!(text.contains("Gone: no such region"), "{text}");
    let text = fault(&env.start(misused, "m", ()).await.unwrap()).await.to_string();
    assert!(text.contains("pages_at_once: only a map whose items come in pages has it"), "{text}");
}

#[tokio::test]
async fn a_canceled_map_ends() {
    let env = env();
    env.hold(double);
    let run = env.start(doubles, "d", (Numbers { up_to: 500, page: 10 }, 0)).await.unwrap();
    env.advance(minutes(1)).await;
    run.cancel("superseded").await.unwrap();
    assert!(fault(&run).await.is_canceled());
    env.advance(hours(1)).await;
    let open = env
        .list(&Filter { status: Some(millrace::client::Status::Running), ..Filter::default() })
        .await
        .unwrap();
    assert!(open.is_empty(), "{open:?}");
}

#[activity]
async fn length(of: String) -> Result<(String, usize), ActivityError>;

#[workflow]
async fn over_lines(ctx: WorkflowContext, of: Lines) -> Result<Vec<(String, usize)>, WorkflowError> {
    let mapped = ctx.map_pages(length, sources::lines, of).await?;
    Ok(mapped.into_iter().collect::<Result<_, _>>()?)
}

#[workflow]
async fn over_keys(ctx: WorkflowContext, of: Keys) -> Result<Vec<(String, usize)>, WorkflowError> {
    let mapped = ctx.map_pages(length, sources::keys, of).await?;
    Ok(mapped.into_iter().collect::<Result<_, _>>()?)
}

fn reads() -> TestEnv {
    let env = TestEnv::new().workflow(over_lines).workflow(over_keys);
    env.mock(length, |of| Ok((of.clone(), of.len()))).keep_code()
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_lines_of_a_file_come_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    // Two windows, lines of all lengths, both ends, and no end at last.
    let lines: Vec<String> = (0..120).map(|n| "ä".repeat(n * 25)).chain(["last".into()]).collect();
    let ends = ["\n", "\r\n"];
    let text: String = lines.iter().enumerate().map(|(i, line)| line.clone() + ends[i % 2]).collect();
    fs::write(&file, text.trim_end()).unwrap();
    let env = reads();
    for (i, of) in
        [Lines::of(path(&file)), Lines::of(format!("file:{}", path(&file))).page(30)].into_iter().enumerate()
    {
        let run = env.start(over_lines, format!("lines-{i}"), of).await.unwrap();
        let got: Vec<String> = run.result().await.unwrap().into_iter().map(|(line, _)| line).collect();
        assert!(got == lines, "{} lines", got.len());
    }
    fs::write(&file, "").unwrap();
    assert!(
        env.start(over_lines, "empty", Lines::of(path(&file)))
            .await
            .unwrap()
            .result()
            .await
            .unwrap()
            .is_empty()
    );
    let gone = path(&folder.path().join("gone"));
    let text =
        fault(&env.start(over_lines, "gone", Lines::of(gone.clone())).await.unwrap()).await.to_string();
    assert!(text.contains(&gone) && text.contains("must lead to the same place on every worker"), "{text}");
    let text = fault(&env.start(over_lines, "folder", Lines::of(path(folder.path()))).await.unwrap())
        .await
        .to_string();
    assert!(text.contains("is a folder: name a file"), "{text}");
}

#[tokio::test]
async fn the_files_of_a_folder_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    let mut expected: Vec<String> = (0..25)
        .map(|n| {
            path(&folder.path().join(if n % 3 == 0 { format!("inner/{n}") } else { format!("{n}.jpg") }))
        })
        .collect();
    for file in &expected {
        fs::write(file, "x").unwrap();
    }
    expected.sort();
    let env = reads();
    let run = env.start(over_keys, "k", Keys::under(path(folder.path())).page(10)).await.unwrap();
    let got: Vec<String> = run.result().await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(got, expected);
    for (of, hint) in [
        (Keys::under(&expected[0]), "is a file: name its folder"),
        (Keys::under(path(folder.path())).page(0), "page: 0 is no size of a page"),
        (Keys::under("https://example.com/x"), "is of no known kind: write s3://bucket/prefix, or a path"),
    ] {
        let id = format!("bad-{}", hint.len());
        let text = fault(&env.start(over_keys, id, of).await.unwrap()).await.to_string();
        assert!(text.contains(hint), "{text}");
    }
}
