//! The verbs that run the engine in this process: `dev`, and a program's own job.

use std::path::Path;

use clap::ArgMatches;
use futures::future::{Either, select};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::{DevArgs, Place};
use super::connect::{Connected, engine};
use super::failure::{Failure, Verdict};
use super::job::{Job, JobEntry};
use super::{MakeApp, say};
use crate::App;
use crate::dev::{Dev, Options};

/// Sets which log lines are shown, such as `info` or `millrace_engine=debug`.
const LOG: &str = "MILLRACE_LOG";

pub(super) async fn dev(app: Option<MakeApp>, place: &Place, args: &DevArgs) -> Verdict {
    let Some(app) = app else {
        let message =
            "this program knows no workflows; run the `dev` verb of the program that registers them";
        return Err(Failure::usage(message));
    };
    log(LevelFilter::INFO);
    let options =
        Options { port: Some(args.port), slots: args.slots, retention: args.retention, ..options(place) };
    let limits = args.limits.clone();
    let app: MakeApp =
        Box::new(move |data| Ok(app(data)?.limits(&limits).map_err(|bad| format!("--limits: {bad}"))?));
    let (dev, app) = begin(app, place, options).await?;
    introduce(&dev, &app, &place.data);
    interrupted().await;
    eprintln!("stopping; activities may end within 10 s (again Ctrl-C: at once)");
    end(dev).await
}

pub(super) async fn job(app: Option<MakeApp>, job: JobEntry, place: &Place, matches: &ArgMatches) -> Verdict {
    log(LevelFilter::WARN);
    let app = app.unwrap_or_else(|| Box::new(|_| Ok(App::new())));
    let (dev, _) = begin(app, place, options(place)).await?;
    let given = Job { client: dev.client(), data: place.data.clone() };
    let working = Box::pin(job.run(given, matches));
    match select(working, Box::pin(interrupted())).await {
        Either::Left((done, _)) => {
            dev.stop().await;
            done.map_err(|error| Failure::of(error.as_ref()))
        }
        Either::Right(_) => {
            eprintln!("stopping; run it again and it goes on");
            end(dev).await?;
            Err(Failure::engine("interrupted"))
        }
    }
}

fn options(place: &Place) -> Options {
    Options { namespace: place.namespace.clone(), ..Options::new(&place.data) }
}

async fn begin(app: MakeApp, place: &Place, options: Options) -> Result<(Dev, App), Failure> {
    if let Some(info) = engine(place).await?.as_ref().and_then(Connected::engine) {
        let data = place.data.display();
        let message = format!("`{data}` is in use by the engine in process {}; stop it first", info.pid);
        return Err(Failure::engine(message));
    }
    let app = app(&place.data).map_err(|error| Failure::of(error.as_ref()))?;
    let dev = Dev::start(&app, options)?;
    Ok((dev, app))
}

/// Stops, unless a second signal comes: then everything is left as a crash would, which is safe.
async fn end(dev: Dev) -> Verdict {
    match select(Box::pin(dev.stop()), Box::pin(interrupted())).await {
        Either::Left(_) => Ok(()),
        Either::Right(_) => Err(Failure::engine("stopped at once; open work goes on at the next start")),
    }
}

/// Resolves at SIGINT or SIGTERM.
async fn interrupted() {
    let interrupt = Box::pin(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            select(interrupt, Box::pin(terminate.recv())).await;
            return;
        }
    }
    interrupt.await;
}

fn introduce(dev: &Dev, app: &App, data: &Path) {
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let queues = app.task_queues().iter().map(ToString::to_string).collect();
    if let Some(address) = dev.address() {
        say(&format!("listening    http://{address} (token in {})", data.join("api.json").display()));
    }
    say(&format!("data folder  {}", data.display()));
    say(&format!("workflows    {}", list(app.workflow_names())));
    say(&format!("activities   {}", list(app.activity_code().names())));
    say(&format!("task queues  {}", list(queues)));
    let program = std::env::args().next().unwrap_or_else(|| "app".into());
    let workflow = app.workflow_names().into_iter().next().unwrap_or_else(|| "Workflow".into());
    let data = data.display();
    say(&format!("try          {program} start {workflow} --data {data} --id first --input '…'"));
    say(&format!("             {program} result first --data {data}"));
    say(&format!("             {program} show first --data {data}"));
}

/// Log lines go to standard error; a program that has set up its own keeps it.
fn log(level: LevelFilter) {
    let wanted = std::env::var(LOG).ok().and_then(|text| text.parse::<Targets>().ok());
    let targets = wanted.unwrap_or_else(|| Targets::new().with_default(level));
    let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colors);
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}
