//! `dead-letters`: what nobody could do anything with.

use futures::future::try_join_all;
use millrace_engine::ports::Clock;
use millrace_local::SystemClock;

use super::args::{DeadLettersArgs, DeadLettersListArgs, DeadLettersVerb, Place};
use super::connect::{Missing, connect};
use super::failure::{Failure, Verdict};
use super::timeline::span;
use super::{say, say_json};
use crate::client::{DeadLetter, Letters, Treatment};

/// How much of a message and of its error a line shows.
const SHOWN_CHARS: usize = 60;

pub(super) async fn dead_letters(place: &Place, verb: DeadLettersVerb) -> Verdict {
    match verb {
        DeadLettersVerb::List(args) => list(place, args).await,
        DeadLettersVerb::Redrive(args) => treat(place, Treatment::Redrive, args).await,
        DeadLettersVerb::Delete(args) => treat(place, Treatment::Delete, args).await,
    }
}

async fn list(place: &Place, args: DeadLettersListArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let (client, limit) = (connected.client(), args.limit);
    let everywhere = || {
        let tasks = connected.engine().map(|engine| engine.task_queues.clone()).unwrap_or_default();
        ["inbox", "events"].into_iter().map(str::to_owned).chain(tasks).collect()
    };
    let queues: Vec<String> = args.queue.map_or_else(everywhere, |queue| vec![queue]);
    let looks = queues.iter().map(|queue| client.dead_letters(queue, limit));
    let letters = try_join_all(looks).await?;
    let is_cut = letters.iter().any(|of_queue| of_queue.len() == limit);
    let letters: Vec<DeadLetter> = letters.into_iter().flatten().collect();
    if args.json {
        letters.iter().for_each(say_json);
    } else {
        say(&table(&letters));
    }
    if is_cut {
        eprintln!("there may be more: see --limit");
    }
    Ok(())
}

fn table(letters: &[DeadLetter]) -> String {
    let now = SystemClock::default().now();
    let mut rows = vec![["QUEUE", "MESSAGE ID", "SINCE", "WHY", "MESSAGE"].map(str::to_owned)];
    for letter in letters {
        rows.push([
            letter.queue.clone(),
            letter.message_id.clone(),
            format!("{} ago", span(now - letter.sent_at)),
            cut(letter.error.as_deref().unwrap_or("received too often without an answer")),
            cut(&letter.body),
        ]);
    }
    super::table::table(&rows)
}

fn cut(text: &str) -> String {
    let mut line: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        line.push('…');
    }
    line
}

async fn treat(place: &Place, treatment: Treatment, args: DeadLettersArgs) -> Verdict {
    let DeadLettersArgs { queue, message_ids, all, json } = args;
    let letters = if all { Letters::All } else { Letters::Ids(message_ids.into_iter().collect()) };
    let connected = connect(place, Missing::Refuse).await?;
    let treated = connected.client().treat_dead_letters(&queue, treatment, &letters).await?;
    if json {
        say_json(&treated);
    } else {
        let done = if treatment == Treatment::Redrive { "sent again" } else { "thrown away" };
        say(&format!("{done}: {} of `{queue}`", treated.done.len()));
        for refused in &treated.refused {
            eprintln!("{} stays: {}", refused.message_id, refused.reason);
        }
    }
    if !treated.missing.is_empty() {
        let missing = treated.missing.join(", ");
        let text =
            format!("not among the dead letters of `{queue}` now: {missing}; somebody may be looking at it");
        return Err(Failure::not_found(text));
    }
    match treated.refused.len() {
        0 => Ok(()),
        n => Err(Failure::rejected(format!("{n} of `{queue}` would be refused again"))),
    }
}
