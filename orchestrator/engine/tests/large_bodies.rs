//! Bodies too large for a message: stored before they are sent, read before they are handed out, and nobody is led astray.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod toy;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use millrace_core::Namespace;
use millrace_engine::ports::{
    Bodies, BodyRead, BodyStore, Condition, Counting, Delivery, LargeBodies, ObjectStore, OutMessage, Ports,
    PutError, QueueError, QueueName, SendError, StoreError,
};
use millrace_format::{ContentHash, Keys};
use toy::{World, turn_all};

/// What is longer goes through the bucket.
const ROOM: usize = 100;
/// A body that begins so can be neither stored nor read.
const CURSED: &str = "cursed";
const HIDDEN: Duration = Duration::from_secs(30);

/// A bucket that knows no better than to give what is asked for.
struct Bucket(Arc<dyn ObjectStore>);

#[async_trait]
impl BodyStore for Bucket {
    async fn put_body(&self, key: &str, body: Bytes) -> Result<(), PutError> {
        if body.starts_with(CURSED.as_bytes()) {
            return Err(PutError::Unknown("no answer".into()));
        }
        self.0.put(key, body, Condition::Always).await.map(drop)
    }

    async fn read_body(&self, key: &str, most_bytes: u64) -> Result<BodyRead, StoreError> {
        assert_eq!(most_bytes, 17 << 20, "nobody reads without a limit");
        match self.0.get(key).await? {
            None => Ok(BodyRead::Absent),
            Some(stored) if stored.body.starts_with(CURSED.as_bytes()) => {
                Err(StoreError::Unavailable("not now".into()))
            }
            Some(stored) if stored.body.len() as u64 > most_bytes => Ok(BodyRead::TooLarge),
            Some(stored) => Ok(BodyRead::Body(stored.body)),
        }
    }
}

fn through_the_bucket(ports: &Ports) -> Ports {
    let bodies = Bodies::new(Bucket(ports.store.clone()), Keys::new(Namespace::default()));
    let is_large = |message: &OutMessage| message.body.len() > ROOM;
    let queues = LargeBodies::new(ports.queues.clone(), bodies, is_large);
    Ports { queues: Arc::new(queues), ..ports.clone() }
}

fn send(ports: &Ports, queue: &QueueName, bodies: &[&str]) -> Vec<Result<(), SendError>> {
    let messages = bodies.iter().map(|body| OutMessage::now((*body).to_owned())).collect();
    block_on(ports.queues.send(queue, messages))
}

fn receive(ports: &Ports, queue: &QueueName) -> Vec<Delivery> {
    block_on(ports.queues.receive(queue, 10, Duration::ZERO, HIDDEN)).unwrap()
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
}

fn keys(world: &World) -> Vec<String> {
    block_on(world.ports.store.list("default/", None, None, 10)).unwrap()
}

fn long(what: &str) -> String {
    format!("{what}{}", "-".repeat(ROOM))
}

#[test]
fn a_large_body_is_one_put_and_one_get_and_a_small_one_neither() {
    let world = World::new();
    let (counting, counted) = Counting::wrap(&world.ports);
    let ports = through_the_bucket(&counted);
    let (small, large) = ("s".repeat(ROOM), long("l"));
    let events = QueueName::events();
    assert_eq!(send(&ports, &events, &[&small, &large, &small, &large]), vec![Ok(()); 4]);
    let used = counting.counts();
    assert_eq!((used.puts, used.gets, used.sends, used.messages_sent), (2, 0, 1, 4), "{used:?}");
    let received = receive(&ports, &events);
    assert_eq!(bodies(&received), [&small, &large, &small, &large]);
    assert_eq!(counting.counts().gets, 2);
}

#[test]
fn each_queue_has_its_own_folder() {
    let inbox = QueueName::inbox();
    let task = QueueName::from("task-cpu");
    for (queue, folder) in [
        (&inbox, "inbox-payload"),
        (&inbox.dead_letters(), "inbox-payload"),
        (&QueueName::events(), "message"),
        (&task, "message"),
        (&task.dead_letters(), "message"),
    ] {
        let world = World::new();
        let (ports, body) = (through_the_bucket(&world.ports), long("x"));
        assert_eq!(send(&ports, queue, &[&body]), [Ok(())]);
        let hash = ContentHash::of(body.as_bytes());
        assert_eq!(keys(&world), [format!("default/{folder}/{hash}")]);
        let pointer = format!(r#"{{"v":1,"body":"{folder}/{hash}"}}"#);
        assert_eq!(bodies(&receive(&world.ports, queue)), [&pointer]);
        world.clock.advance(HIDDEN);
        assert_eq!(bodies(&receive(&ports, queue)), [&body]);
    }
}

#[test]
fn a_body_that_is_not_stored_fails_its_message_alone() {
    let world = World::new();
    let ports = through_the_bucket(&world.ports);
    let events = QueueName::events();
    let answers = send(&ports, &events, &["a", &long(CURSED), &long("b"), &long(CURSED)]);
    assert_eq!((&answers[0], &answers[2]), (&Ok(()), &Ok(())));
    for refused in [&answers[1], &answers[3]] {
        let Err(QueueError::Unavailable { reason, .. }) = refused else { unreachable!("{answers:?}") };
        assert!(reason.starts_with("its large body was not stored: ") && reason.contains("no answer"));
    }
    assert_eq!(bodies(&receive(&ports, &events)), ["a", &long("b")]);
}

#[test]
fn a_body_that_cannot_be_read_now_comes_again() {
    let world = World::new();
    let ports = through_the_bucket(&world.ports);
    let (events, body) = (QueueName::events(), long("x"));
    send(&ports, &events, &[&body, "small"]);
    let key = keys(&world).remove(0);
    let put = |body: &str| block_on(world.ports.store.put(&key, body.to_owned().into(), Condition::Always));
    put(CURSED).unwrap();
    assert_eq!(bodies(&receive(&ports, &events)), ["small"], "the others are handed out");
    put(&body).unwrap();
    assert_eq!(
        bodies(&receive(&ports, &events)),
        Vec::<&str>::new(),
        "it is hidden as long as was asked for"
    );
    world.clock.advance(HIDDEN);
    let again = receive(&ports, &events);
    assert!(again.iter().any(|delivery| delivery.body == body && delivery.receive_count == 2), "{again:?}");
}

#[test]
fn what_leads_nowhere_is_handed_out_as_it_came() {
    let world = World::new();
    let ports = through_the_bucket(&world.ports);
    let put = |folder: &str, name: &str, body: Vec<u8>| {
        let key = format!("default/{folder}/{}", ContentHash::of(name.as_bytes()));
        block_on(world.ports.store.put(&key, body.into(), Condition::Always)).unwrap();
    };
    let pointer =
        |path: &str, name: &str| format!(r#"{{"v":1,"body":"{path}/{}"}}"#, ContentHash::of(name.as_bytes()));
    put("inbox-payload", "replaced", b"another".into());
    put("message", "of the system", b"of the system".into());
    put("inbox-payload", "endless", vec![b'x'; (17 << 20) + 1]);
    let kept = [
        pointer("inbox-payload", "absent"),
        pointer("inbox-payload", "replaced"),
        pointer("inbox-payload", "endless"),
        pointer("message", "of the system"),
    ];
    let inbox = QueueName::inbox();
    send(&world.ports, &inbox, &kept.each_ref().map(String::as_str));
    assert_eq!(bodies(&receive(&ports, &inbox)), kept);
}

#[test]
fn a_body_that_no_queue_takes_is_refused_before_anything_is_stored() {
    let world = World::new();
    let ports = through_the_bucket(&world.ports);
    let answers = send(&ports, &QueueName::inbox(), &["1", &"x".repeat((17 << 20) + 1)]);
    assert_eq!(answers[0], Ok(()));
    let Err(QueueError::Invalid { reason, .. }) = &answers[1] else { unreachable!("{answers:?}") };
    assert!(reason.starts_with("the body has 17825793 bytes, at most 17825792 are allowed"), "{reason}");
    assert_eq!(keys(&world), Vec::<String>::new());
}

/// Starts, tasks and outcomes, all of them by pointer.
#[test]
fn a_run_whose_messages_all_point_ends_as_any_other() {
    let world = World::new();
    let ports = through_the_bucket(&world.ports);
    let orchestrator = world.orchestrator(&ports);
    let start = format!(r#"{{"type":"start","workflow":"chain","id":"a","input":3,"memo":"{}"}}"#, long(""));
    assert_eq!(send(&ports, &QueueName::inbox(), &[&start]), [Ok(())]);
    for _ in 0..3 {
        turn_all(&orchestrator);
        world.work(&ports);
    }
    turn_all(&orchestrator);
    assert_eq!(world.status("a"), "completed");
    let of = |prefix| block_on(world.ports.store.list(prefix, None, None, 10)).unwrap().len();
    assert_eq!((of("default/inbox-payload/"), of("default/message/")), (1, 6));
}
