//! A turn, decided: pure, as in the engine's core.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::history::{Run, Turn};
use crate::queues::Queue;
use crate::variant::Variant;
use crate::workload::{Code, Effect, Fact, RunNumber};

/// A message in a process's hands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Received {
    /// Where it came from.
    pub queue: Queue,
    /// The message's identity: by this it is deleted.
    pub message: Fact,
    /// What it tells. Another fact than the message's only in an eager chain: then the worker has gone on, and this is what
    /// it has done last.
    pub fact: Fact,
    /// What it has told before in that chain.
    pub earlier: BTreeSet<Fact>,
    /// Whether its receive count is over 1.
    pub again: bool,
}

impl Received {
    /// The worker goes on with its next activity, still holding the message of its first.
    #[must_use]
    pub fn goes_on_with(mut self, fact: Fact) -> Self {
        self.earlier.insert(std::mem::replace(&mut self.fact, fact));
        self
    }
}

/// What a turn decided.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The run as the commit will leave it; `None`: there is nothing to commit.
    pub commit: Option<Run>,
    /// The closed run whose place it takes.
    pub replaces: Option<Arc<Run>>,
    /// What to send after the commit: the new turn's effects, and those that met guards ask for again.
    pub effects: Vec<Effect>,
    /// The messages to delete then.
    pub done: Vec<Received>,
    /// Those that can be decided only after this commit.
    pub again: Vec<Received>,
}

/// What becomes of a message.
enum Verdict {
    Absorbed,
    Repeated,
    Elsewhere(RunNumber),
    Again,
    Rejected,
}

/// Decides a batch, the starts in it first, on a run as it was read.
pub fn decide(
    (code, variant): (Code, Variant),
    run: Option<&Arc<Run>>,
    archive: &[Arc<Run>],
    batch: &[Received],
) -> Decision {
    let mut turn = Deciding { code, variant, run: run.cloned(), begun: false, decision: Decision::default() };
    let mut batch = batch.to_vec();
    batch.sort_by_key(|received| !matches!(received.fact, Fact::Start(_)));
    turn.go_on_as_new(&batch);
    let verdicts: Vec<Verdict> = batch.iter().map(|received| turn.absorb(received)).collect();
    // A turn that ends so is decided again, to begin the run that follows: this may be the last message that ever comes.
    let continues = turn.begun && turn.run.as_ref().is_some_and(|run| run.continues());
    let new = turn.new_effects();
    let mut repairs = Vec::new();
    for (received, verdict) in batch.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Again => {
                turn.decision.again.push(received);
                continue;
            }
            _ if continues => {
                turn.decision.again.push(received);
                continue;
            }
            Verdict::Repeated => repairs.extend(turn.open_effects(turn.run.as_deref(), &received)),
            Verdict::Elsewhere(number) if variant != Variant::OldRunsUnchecked => {
                let mut logs = archive.iter().chain(&turn.decision.replaces);
                let archived = logs.find(|run| run.number == number);
                repairs.extend(turn.open_effects(archived.map(AsRef::as_ref), &received));
                if variant != Variant::BegunRunUnchecked {
                    repairs.extend(turn.open_effects(turn.run.as_deref(), &received));
                }
            }
            Verdict::Elsewhere(_) | Verdict::Absorbed | Verdict::Rejected => {}
        }
        turn.decision.done.push(received);
    }
    repairs.retain(|effect| !new.contains(effect));
    if variant != Variant::RepairPerCopy {
        repairs.sort();
        repairs.dedup();
    }
    turn.decide(new, repairs)
}

/// A turn while it is being decided.
struct Deciding {
    code: Code,
    variant: Variant,
    run: Option<Arc<Run>>,
    /// Whether the last turn of `run` is this one.
    begun: bool,
    decision: Decision,
}

impl Deciding {
    fn absorb(&mut self, received: &Received) -> Verdict {
        match received.fact {
            Fact::GoesOn(_) => Verdict::Rejected,
            Fact::Start(request) => self.start(request, received),
            Fact::Done(number, _) => match &self.run {
                Some(run) if run.number != number => Verdict::Elsewhere(number),
                Some(run) if run.waits_for(received.fact) => self.record(received.fact, received),
                _ => Verdict::Repeated,
            },
        }
    }

    fn start(&mut self, request: RunNumber, received: &Received) -> Verdict {
        let Some(run) = &self.run else { return self.begin(1, received.fact, received) };
        let carried = request < run.number && self.variant != Variant::EarlierStartsForgotten;
        match () {
            () if run.has_absorbed(received.fact) => Verdict::Repeated,
            () if carried => Verdict::Elsewhere(request),
            () if !run.is_closed() => Verdict::Rejected,
            // Close, then replace: one run's turn a commit.
            () if self.begun => Verdict::Again,
            () => self.begin(run.number + 1, received.fact, received),
        }
    }

    /// Close, then replace: a head that continues as new is gone on with before anything else is decided. Only the message
    /// that closed it may do that, since it guards the turn, too: another one may be known, and gone from its queue while an
    /// outdated receipt is all that its holder has. The closing one stays there until the next run is found.
    fn go_on_as_new(&mut self, batch: &[Received]) {
        let Some(run) = self.run.as_ref().filter(|run| run.continues()) else { return };
        let number = run.number + 1;
        let may_begin = |received: &&Received| {
            self.variant == Variant::AnybodyGoesOn || run.is_closed_by(received.message)
        };
        if let Some(first) = batch.iter().find(may_begin) {
            self.begin(number, Fact::GoesOn(number), first);
        }
    }

    fn begin(&mut self, number: RunNumber, fact: Fact, received: &Received) -> Verdict {
        self.decision.replaces = self.run.replace(Arc::new(Run::new(number)));
        self.record(fact, received)
    }

    /// Absorbs a fact and resumes the code with it. The message that brings the first one guards the turn (G4).
    fn record(&mut self, fact: Fact, received: &Received) -> Verdict {
        let Some(run) = self.run.as_mut().map(Arc::make_mut) else { return Verdict::Repeated };
        if !std::mem::replace(&mut self.begun, true) {
            run.turns.push(Turn { guards: guards(self.variant, received), ..Turn::default() });
        }
        if let Some(turn) = run.turns.last_mut() {
            turn.absorbed.insert(fact);
        }
        let (effects, continues) = (self.code.resume(run, fact), self.code.continues(run, fact));
        if let Some(turn) = run.turns.last_mut() {
            turn.effects.extend(effects);
            turn.continues |= continues;
        }
        Verdict::Absorbed
    }

    fn new_effects(&self) -> BTreeSet<Effect> {
        let run = self.run.as_ref().filter(|_| self.begun);
        run.and_then(|run| run.turns.last()).map(|turn| turn.effects.clone()).unwrap_or_default()
    }

    /// G4: what a met guard asks for again: the message's identity, and the fact's, should a worker have gone on from there.
    fn open_effects(&self, run: Option<&Run>, received: &Received) -> Vec<Effect> {
        let Some(run) = run else { return vec![] };
        let guards = BTreeSet::from([received.message, received.fact]);
        let is_last = || run.turns.last().is_some_and(|turn| !turn.guards.is_disjoint(&guards));
        match self.variant {
            Variant::OnlyTheLastTurn if !is_last() => vec![],
            Variant::OnlyIfReceivedBefore if !received.again => vec![],
            _ => run.guarded_by(&guards).collect(),
        }
    }

    fn decide(self, new: BTreeSet<Effect>, repairs: Vec<Effect>) -> Decision {
        let commit = self.run.filter(|_| self.begun).map(Arc::unwrap_or_clone);
        let effects = new.into_iter().chain(repairs).collect();
        Decision { commit, effects, ..self.decision }
    }
}

/// An ordinary turn has one guard. An eager one names every activity of its chain, from the one whose task the worker holds
/// to the one that has just completed: any of them may have been sent again by somebody who found the one before it in
/// the log, and that message may be the last that is left.
fn guards(variant: Variant, received: &Received) -> BTreeSet<Fact> {
    let ends = [received.message, received.fact];
    match variant {
        Variant::EagerGuardOfTheHeldTask => BTreeSet::from([received.message]),
        Variant::EagerGuardOfTheOutcome => BTreeSet::from([received.fact]),
        Variant::EagerGuardsOfBothEnds => BTreeSet::from(ends),
        _ => received.earlier.iter().copied().chain(ends).collect(),
    }
}
