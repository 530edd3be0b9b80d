//! The processes of a simulated world, and what they did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use millrace::App;
use millrace_conformance::{Fault, Faults, Faulty, Injector, Process, Sim};
use millrace_core::{Namespace, Payload, Runaway, Status, TaskQueue, Timestamp, WorkflowId};
use millrace_engine::ports::{Clock, ObjectStore, Ports, QueueName};
use millrace_engine::{
    Client, ClientError, DeadLetters, Orchestrator, OrchestratorConfig, Ticker, Worker, WorkerConfig,
};
use millrace_format::Keys;
use millrace_format::history::SEAL_AT;
use millrace_local::Memory;
use serde_json::Value;

use crate::bodies;
use crate::casts::Ends;
use crate::check;
use crate::cost::{Cost, Meter};
use crate::deploys::Deployment;
use crate::warrants::Warranted;
use crate::watch::Watch;
use crate::workflows::Probe;

mod cast;
mod purge;

pub use cast::{Cast, Outside};

/// No run takes longer than this, whatever happens to it.
const LONGEST: Duration = Duration::from_secs(4 * 86_400);

/// Those that run the workflows' code, and are deployed anew.
const ORCHESTRATORS: [&str; 2] = ["orchestrator-1", "orchestrator-2"];

/// So few turns that some run is held back, and so many that the worlds still end.
const SLOW: Runaway = Runaway::per_hour(40);

/// A simulated world.
pub struct World {
    cast: Arc<Cast>,
    sim: Sim,
    memory: Arc<Memory>,
    watch: Arc<Watch>,
    meter: Meter,
    deployment: Deployment,
    injector: Arc<Injector>,
    probe: Arc<Probe>,
    /// Odd worlds keep their larger payloads apart from the history's text; it must make no difference to anybody. Not all of
    /// them: a cold turn reads each, any read may fail, and a signal waits no more than a minute for its run (G10).
    offload_above_bytes: usize,
    /// In some worlds a run that goes on by itself is held back after a while.
    runaway: Option<Runaway>,
    /// What is larger goes through the bucket, if this is set; nobody above the ports can tell.
    largest_message: Option<usize>,
}

/// How a world ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Each workflow's status and result.
    pub ends: Ends,
    /// The fingerprint of all that happened.
    pub trace_hash: u64,
    /// What went wrong on the way.
    pub faults: BTreeMap<Fault, u64>,
    /// What must not have happened, but did.
    pub violations: Vec<String>,
    /// Virtual time that passed.
    pub took: Duration,
    /// How many payloads are kept apart from the text of their histories.
    pub large_payloads: usize,
    /// How many bodies went through the bucket, by queue.
    pub large_bodies: BTreeMap<QueueName, u64>,
    /// How many steps the world made: polls of one task.
    pub steps: u64,
    /// What it cost until it came to rest.
    pub cost: Cost,
}

impl World {
    /// The world of this seed, with these faults, in which everything is used.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self::of(seed, faults, Cast::default())
    }

    /// The world of this seed, with these faults, for this cast.
    pub fn of(seed: u64, faults: Faults, cast: Cast) -> Self {
        let sim = Sim::new(seed);
        let memory = Memory::with_batch_limit(sim.clock(), 10);
        let cast = Arc::new(cast);
        let offload_above_bytes = if seed % 2 == 1 { 40 } else { SEAL_AT };
        Self {
            watch: Watch::hiding(memory.clone(), cast.hidden),
            cast,
            memory,
            meter: Meter::default(),
            deployment: Deployment::default(),
            injector: Injector::new(faults),
            probe: Arc::default(),
            offload_above_bytes,
            runaway: (seed % 3 == 2).then_some(SLOW),
            largest_message: bodies::largest_message(seed),
            sim,
        }
    }

    /// What goes wrong in it, and what has.
    pub fn injector(&self) -> Arc<Injector> {
        self.injector.clone()
    }

    /// What watches it.
    pub fn watch(&self) -> Arc<Watch> {
        self.watch.clone()
    }

    /// Starts everything, lets it run to rest, and checks it.
    pub fn run(self) -> Result<Report, String> {
        let begin = self.sim.clock().now();
        for name in ORCHESTRATORS {
            self.orchestrator(name);
        }
        let (sim, injector) = (self.sim.clone(), self.injector.clone());
        let names = ORCHESTRATORS.map(str::to_owned).into();
        let deploys = self.deployment.clone().goes_on(sim, injector, names);
        self.sim.process("deployer").spawn(deploys);
        for n in 1..=2 {
            self.worker(&format!("cpu-{n}"), "cpu");
            self.worker(&format!("gpu-{n}"), "gpu");
        }
        self.ticker();
        self.client_requests();
        self.staff();
        let outsiders = self.sim.process("outsiders");
        (self.cast.outsiders)(self.outside()).into_iter().for_each(|outsider| outsiders.spawn(outsider));
        let (client, clock, cast) = (self.client(), self.sim.clock(), self.cast.clone());
        let ends = self.sim.block_on(async move { all_ends(&client, &*clock, &cast).await }, LONGEST);
        let ends = ends.map_err(|stuck| self.stuck(&format!("{stuck:?}: {}", self.describe())))??;
        self.injector.set_calm(true);
        let rest = || self.in_flight().is_empty();
        let not_at_rest = |stuck| self.stuck(&format!("not at rest: {stuck:?}; {}", self.dead_letters()));
        self.sim.run_until(rest, LONGEST).map_err(not_at_rest)?;
        let took = self.sim.clock().now().since(begin);
        let (turns, events) = self.watch.turns_and_events();
        let cost = Cost { turns, events, calls: self.meter.calls() };
        let (client, clock) = (self.client(), self.sim.clock());
        // It knows all code there was.
        let probe = Arc::new(self.probe.of_build(u64::MAX));
        let cast = self.cast.clone();
        let checked =
            self.sim.block_on(async move { check::histories(&client, &cast, clock, probe).await }, LONGEST);
        let mut violations = checked.map_err(|stuck| self.stuck(&format!("{stuck:?}")))?;
        violations.extend(self.probe.violations());
        let large_payloads = self.large_payloads();
        self.is_purged()?;
        violations.extend(self.watch.violations());
        Ok(Report {
            ends,
            trace_hash: self.sim.trace_hash(),
            faults: self.injector.counts(),
            violations,
            took,
            large_payloads,
            large_bodies: self.watch.pointers(),
            steps: self.sim.steps(),
            cost,
        })
    }

    /// Where each run stands, for a world that does not come to its end.
    fn describe(&self) -> String {
        let (client, ids) = (self.client(), self.cast.ids.clone());
        let describe = async move {
            let mut all = String::new();
            for id in ids {
                let Ok(workflow_id) = id.parse() else { continue };
                match client.history(&workflow_id, None).await {
                    Ok((head, events)) => {
                        let last: Vec<_> =
                            events.iter().rev().take(8).map(|e| (e.n, e.t.to_string(), &e.kind)).collect();
                        all += &format!("\n{id}: {:#?}\nlast events: {last:#?}", head.header);
                    }
                    Err(error) => all += &format!("\n{id}: {error}"),
                }
            }
            all
        };
        self.sim.block_on(describe, Duration::from_secs(60)).unwrap_or_default()
    }

    fn large_payloads(&self) -> usize {
        self.keys("default/workflow/").iter().filter(|key| key.contains("/payload/")).count()
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        // In memory nothing waits.
        block_on(self.memory.list(prefix, None, None, usize::MAX)).unwrap_or_default()
    }

    /// What was rejected, and why.
    fn dead_letters(&self) -> String {
        let queues = self.with_whole_bodies(self.bare_ports(&self.sim.process("reader"))).queues;
        let letters = async move {
            let mut all = Vec::new();
            for queue in [QueueName::inbox(), QueueName::events()] {
                let now = Duration::ZERO;
                all.extend(queues.receive(&queue.dead_letters(), 10, now, now).await.unwrap_or_default());
            }
            all
        };
        let letters = self.sim.block_on(letters, Duration::from_secs(60)).unwrap_or_default();
        letters.into_iter().map(|letter| format!("\n{:?}: {}", letter.error, letter.body)).collect()
    }

    fn stuck(&self, why: &str) -> String {
        format!("{why}; in flight: {:?}; faults: {:?}", self.in_flight(), self.injector.counts())
    }

    /// Messages that somebody should still take. The task queue without worker keeps its tasks.
    fn in_flight(&self) -> BTreeMap<QueueName, usize> {
        let mut all = self.memory.all_messages();
        let late = QueueName::inbox().dead_letters();
        all.retain(|queue, _| queue.as_str() != "task-nowhere" && !(self.cast.may_be_late && *queue == late));
        all
    }

    /// The ports as one process has them: with faults, and its own crashes.
    fn ports(&self, process: &Process) -> Ports {
        let counted = self.meter.wrap(&self.bare_ports(process));
        let faulty = Faulty::of_process(&counted, self.injector.clone(), process);
        let whole = self.with_whole_bodies(faulty);
        Warranted::wrap(&whole, Keys::new(Namespace::default()), self.watch.clone(), process.name())
    }

    /// The same for whoever needs nobody's leave: clients, and who looks after what nobody does any more.
    fn faulty_ports(&self, process: &Process) -> Ports {
        let faulty = Faulty::of_process(&self.bare_ports(process), self.injector.clone(), process);
        self.with_whole_bodies(faulty)
    }

    /// Above a process's faults: what is stored, and what points there, meets all of them.
    fn with_whole_bodies(&self, ports: Ports) -> Ports {
        match self.largest_message {
            Some(most) => bodies::through_the_bucket(&ports, most),
            None => ports,
        }
    }

    fn bare_ports(&self, process: &Process) -> Ports {
        Ports {
            store: self.watch.clone(),
            queues: self.watch.clone(),
            clock: self.sim.clock(),
            entropy: self.sim.entropy(),
            spawn: process.spawner(),
        }
    }

    /// A client that sees the world as it is.
    fn client(&self) -> Client {
        let ports = self.with_whole_bodies(self.bare_ports(&self.sim.process("client")));
        Client::new(ports, Keys::new(Namespace::default()), None)
    }

    fn app(&self, process: &Process, ports: &Ports) -> App {
        (self.cast.app)(
            ports.clock.clone(),
            Arc::new(self.probe.of_process(process, self.deployment.build())),
        )
    }

    fn share(&self) -> Self {
        Self {
            cast: self.cast.clone(),
            sim: self.sim.clone(),
            memory: self.memory.clone(),
            watch: self.watch.clone(),
            meter: self.meter.clone(),
            deployment: self.deployment.clone(),
            injector: self.injector.clone(),
            probe: self.probe.clone(),
            offload_above_bytes: self.offload_above_bytes,
            runaway: self.runaway,
            largest_message: self.largest_message,
        }
    }

    fn orchestrator(&self, name: &str) {
        let world = self.share();
        self.sim.supervise(name, move |process| {
            let ports = world.ports(&process);
            let app = world.app(&process, &ports);
            let offload_above_bytes = world.offload_above_bytes;
            let build = format!("sim-{}", world.deployment.build());
            let runaway = world.runaway;
            let config =
                OrchestratorConfig { build, offload_above_bytes, runaway, ..OrchestratorConfig::default() };
            let clock = ports.clock.clone();
            let orchestrator = Arc::new(
                Orchestrator::new(ports, world.deployment.of(app.workflow_code()), config)
                    .with_local_activities(app.activity_code()),
            );
            for queue in [QueueName::inbox(), QueueName::events()] {
                let (orchestrator, clock) = (orchestrator.clone(), clock.clone());
                process.spawn(async move {
                    loop {
                        if orchestrator.poll(&queue).await.is_err() {
                            pause(&*clock, 1).await;
                        }
                    }
                });
            }
        });
    }

    fn worker(&self, name: &str, queue: &'static str) {
        let world = self.share();
        self.sim.supervise(name, move |process| {
            let Ok(queue) = TaskQueue::new(queue) else { return };
            let ports = world.ports(&process);
            let app = world.app(&process, &ports);
            let worker = Worker::new(
                ports,
                app.activity_code(),
                WorkerConfig { slots: 4, ..WorkerConfig::new(queue) },
            );
            process.spawn(async move {
                worker.run(futures::future::pending().boxed().shared()).await;
            });
        });
    }

    fn ticker(&self) {
        let world = self.share();
        self.sim.supervise("ticker", move |process| {
            let ports = world.ports(&process);
            let clock = ports.clock.clone();
            let ticker = Ticker::new(ports.clone(), Keys::new(Namespace::default()));
            let dead_letters = DeadLetters::new(ports);
            process.spawn(async move {
                loop {
                    let _ = ticker.tick().await;
                    for queue in ["cpu", "gpu"].into_iter().filter_map(|queue| TaskQueue::new(queue).ok()) {
                        let _ = dead_letters.poll(&queue, Duration::ZERO).await;
                    }
                    pause(&*clock, Ticker::EVERY.as_secs()).await;
                }
            });
        });
    }

    /// Who asks for something, and is killed while doing so as anybody is.
    fn staff(&self) {
        let world = self.share();
        self.sim.supervise("staff", move |process| {
            let ports = world.faulty_ports(&process);
            let (clock, entropy, probe) = (ports.clock.clone(), ports.entropy.clone(), world.probe.clone());
            let client = Client::new(ports, Keys::new(Namespace::default()), None);
            let work = (world.cast.staff)(Outside { client, clock, entropy, probe });
            work.into_iter().for_each(|work| process.spawn(work));
        });
    }

    /// Whoever came back now would find nothing, and begin it all again.
    fn staff_goes_home(&self) {
        self.sim.supervise("staff", |_| {});
        self.sim.kill("staff");
    }

    fn outside(&self) -> Outside {
        let (clock, entropy, probe) = (self.sim.clock(), self.sim.entropy(), self.probe.clone());
        Outside { client: self.client(), clock, entropy, probe }
    }

    /// What clients ask for. Nothing goes wrong with those who only send. Those who put bodies into the bucket meet all
    /// faults there; killed, they begin again.
    fn client_requests(&self) {
        let begin = self.sim.clock().now();
        for (n, (after_s, request)) in self.cast.requests.iter().cloned().enumerate() {
            let world = self.share();
            let at = begin.plus(Duration::from_secs(after_s));
            self.sim.supervise(&format!("request-{n}"), move |process| {
                let ports = match world.largest_message {
                    Some(_) => world.faulty_ports(&process),
                    None => world.bare_ports(&process),
                };
                let client = Client::new(ports, Keys::new(Namespace::default()), None);
                process.spawn(asks(client, world.sim.clock(), at, request.clone()));
            });
        }
    }
}

/// Each request is sent twice, as a client does that got no answer.
async fn asks(client: Client, clock: Arc<dyn Clock>, at: Timestamp, request: Value) {
    clock.sleep_until(at).await;
    // A signal waits a minute for its run (G10), and a start may be delayed for longer: so it is looked for.
    while request["type"] != "start" && !exists(&client, &request).await {
        pause(&*clock, 5).await;
    }
    for _ in 0..2 {
        cast::send(&client, &*clock, &request).await;
        pause(&*clock, 40).await;
    }
}

async fn exists(client: &Client, request: &Value) -> bool {
    let id = request["id"].as_str().and_then(|id| id.parse::<WorkflowId>().ok());
    match id {
        Some(id) => client.head(&id, None).await.is_ok(),
        None => false,
    }
}

async fn pause(clock: &dyn Clock, seconds: u64) {
    clock.sleep_until(clock.now().plus(Duration::from_secs(seconds))).await;
}

async fn all_ends(client: &Client, clock: &dyn Clock, cast: &Cast) -> Result<Ends, String> {
    let mut ends = BTreeMap::new();
    for id in &cast.ids {
        let workflow_id: WorkflowId = id.parse().map_err(|e| format!("{e}"))?;
        loop {
            match client.history(&workflow_id, None).await {
                Ok((head, _)) if head.header.status == Status::ContinuedAsNew => pause(clock, 60).await,
                Ok((head, _)) if (cast.replaced)(id, head.header.status) => pause(clock, 60).await,
                Ok((head, events)) if !head.header.status.is_open() => {
                    let result = match (cast.any_result)(id) {
                        true => Payload::null(),
                        false => (cast.opened)(&check::result_of(&events)),
                    };
                    ends.insert(id.clone(), (head.header.status, result));
                    break;
                }
                Ok(_) | Err(ClientError::NotFound(_)) => pause(clock, 60).await,
                Err(error) => return Err(format!("{id}: {error}")),
            }
        }
    }
    Ok(ends)
}
