//! Which times come, and what becomes of each.
//!
//! The times depend on the zone database of the build, so a list of them is recorded in the history each time it is
//! made: a later build with other rules replays with the times that were, and plans with its own.

use std::fmt::Write as _;

use millrace_core::Timestamp;

use super::run::MOST_BACKFILLED;
use super::state::{Cause, Firing, State};
use super::{Backfill, Overlap};
use crate::{StateCell, WorkflowContext};

/// How many times to come are looked up at once.
const AHEAD: usize = 8;
/// How many times that have come are looked up at once.
const PAST: usize = 1_000;
/// The same where all but the first will be left out.
const PAST_BUSY: usize = 16;
/// How many times that are left out are counted one by one; those beyond are left out uncounted.
const COUNTED: usize = 20_000;

/// A list of times, as it is recorded: `left out;time,time,…;` and `end` if there are no more.
struct Plan {
    left_out: u64,
    times: Vec<Timestamp>,
    ends: bool,
}

impl Plan {
    fn written(&self) -> String {
        let mut text = format!("{};", self.left_out);
        for (i, time) in self.times.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}", time.as_millis());
        }
        text + if self.ends { ";end" } else { ";" }
    }

    fn read(text: &str) -> Self {
        let mut parts = text.splitn(3, ';');
        let left_out = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let times = parts.next().unwrap_or_default().split(',');
        let times = times.filter_map(|ms| ms.parse().ok().map(Timestamp::from_millis)).collect();
        Self { left_out, times, ends: parts.next() == Some("end") }
    }
}

/// Settles every time that has come.
pub(super) struct Planner {
    context: WorkflowContext,
    cell: StateCell<State>,
    /// How many lists this run has recorded.
    plans: u64,
}

impl Planner {
    pub(super) fn new(context: WorkflowContext, cell: StateCell<State>) -> Self {
        Self { context, cell, plans: 0 }
    }

    /// What is due now waits to be started, or is counted.
    pub(super) fn settle(&mut self) {
        let now = self.context.now();
        while let Some(backfill) = self.cell.modify(|state| state.backfills.pop_front()) {
            let times = self.record(|state| state.backfill_plan(&backfill)).times;
            self.cell.modify(|state| state.backfill(times, backfill.overlap));
        }
        loop {
            while self.cell.read(State::wants_plan) {
                let plan = self.record(|state| state.plan(now));
                self.cell.modify(|state| state.planned(plan, now));
            }
            let context = self.context.clone();
            if !self.cell.modify(|state| state.settle_next(now, || context.random())) {
                return;
            }
        }
    }

    fn record(&mut self, plan: impl FnOnce(&State) -> Plan) -> Plan {
        self.plans += 1;
        let what = format!("millrace.schedule.times.{}", self.plans);
        let made = || self.cell.read(|state| plan(state).written());
        Plan::read(&self.context.journal().recorded(&what, made))
    }
}

impl State {
    /// Whether the next time, or the one that ends its jitter, is not known.
    fn wants_plan(&self) -> bool {
        let is_on = !self.progress.paused && self.schedule.remaining != Some(0);
        is_on && !self.plan_ends && self.plan.len() < 2
    }

    /// Whether every time that comes while something runs will be left out.
    fn leaves_out(&self) -> bool {
        let mut waiting = self.progress.waiting.iter();
        match self.schedule.overlap {
            Overlap::Skip => self.is_busy(),
            Overlap::BufferOne => self.is_busy() && waiting.any(|firing| firing.cause != Cause::Backfilled),
            _ => false,
        }
    }

    /// Up to when times are left out without a look at each.
    fn horizon(&self, now: Timestamp) -> Timestamp {
        if self.leaves_out() {
            return now;
        }
        let window = self.schedule.window().saturating_add(self.schedule.jitter_most());
        let window = Timestamp::default().plus(window);
        // What is just as late as the window is long is made up for.
        Timestamp::from_millis(now.as_millis().saturating_sub(window.as_millis()).saturating_sub(1))
    }

    /// The times after those that are known.
    fn plan(&self, now: Timestamp) -> Plan {
        let last = self.plan.back().copied();
        let after = last.unwrap_or(self.progress.settled);
        // Checked where it came in.
        let Ok(times) = self.schedule.times() else {
            return Plan { left_out: 0, times: Vec::new(), ends: true };
        };
        let horizon = if last.is_none() { self.horizon(now) } else { after };
        let left_out = times.after(after).take_while(|time| *time <= horizon).take(COUNTED).count();
        let past = if self.schedule.overlap.waits_for_the_end() { PAST_BUSY } else { PAST };
        let (mut found, mut ends) = (Vec::new(), true);
        for time in times.after(after.max(horizon)) {
            let ahead = found.iter().rev().take_while(|time| **time > now).count();
            if ahead == AHEAD || (found.len() - ahead == past && time <= now) {
                ends = false;
                break;
            }
            found.push(time);
        }
        Plan { left_out: left_out as u64, times: found, ends }
    }

    fn planned(&mut self, plan: Plan, now: Timestamp) {
        if self.plan.is_empty() {
            let overlaps = self.leaves_out();
            let horizon = self.horizon(now);
            self.progress.settled = self.progress.settled.max(horizon);
            let count = if overlaps { &mut self.progress.skipped } else { &mut self.progress.missed };
            *count = count.saturating_add(plan.left_out);
        }
        self.plan.extend(plan.times);
        self.plan_ends = plan.ends;
    }

    fn backfill_plan(&self, backfill: &Backfill) -> Plan {
        Plan {
            left_out: 0,
            times: self.times_between(backfill.from, backfill.to, MOST_BACKFILLED),
            ends: true,
        }
    }

    /// The schedule's times of a range; no more than `most`.
    pub(super) fn times_between(&self, from: Timestamp, to: Timestamp, most: usize) -> Vec<Timestamp> {
        let Ok(times) = self.schedule.times() else { return Vec::new() };
        let before = Timestamp::from_millis(from.as_millis().saturating_sub(1));
        times.after(before).take_while(|time| *time < to).take(most).collect()
    }

    fn backfill(&mut self, times: Vec<Timestamp>, overlap: Option<Overlap>) {
        let overlap = overlap.filter(|overlap| *overlap == Overlap::AllowAll).unwrap_or(Overlap::BufferOne);
        let firing = |at| Firing { at, cause: Cause::Backfilled, overlap };
        self.progress.waiting.extend(times.into_iter().map(firing));
    }

    /// Settles the next time, if it is due; says whether it was. `random` is asked once for each time.
    fn settle_next(&mut self, now: Timestamp, random: impl FnOnce() -> u64) -> bool {
        if self.progress.paused || self.schedule.remaining == Some(0) {
            return false;
        }
        let Some(&at) = self.plan.front() else { return false };
        let due_at = match self.due_at {
            Some(due_at) => due_at,
            None => at.plus(self.jitter(at, random)),
        };
        self.due_at = Some(due_at);
        if due_at > now {
            return false;
        }
        self.plan.pop_front();
        self.due_at = None;
        self.progress.settled = at;
        // While something ran, nobody was woken for this time: that it is late says nothing.
        let was_asleep = self.running > 0 && self.schedule.overlap.waits_for_the_end();
        if !was_asleep && now.since(due_at) > self.schedule.window() {
            self.progress.missed = self.progress.missed.saturating_add(1);
        } else {
            self.offer(Firing { at, cause: Cause::Scheduled, overlap: self.schedule.overlap });
        }
        true
    }

    /// Less than the jitter, and less than what is left until the next time.
    fn jitter(&self, at: Timestamp, random: impl FnOnce() -> u64) -> std::time::Duration {
        let gap = self.plan.get(1).map(|next| next.since(at));
        let most = self.schedule.jitter_most();
        let most = gap.map_or(most, |gap| most.min(gap)).as_millis().try_into().unwrap_or(u64::MAX);
        std::time::Duration::from_millis(if most == 0 { 0 } else { random() % most })
    }

    /// An action waits to be started, in place of what it overlaps with; or is left out.
    pub(super) fn offer(&mut self, firing: Firing) {
        let in_line = |firing: &Firing| firing.cause != Cause::Backfilled;
        let waiting = &mut self.progress.waiting;
        let mut given_up = 0;
        match firing.overlap {
            Overlap::Skip if self.running > 0 || !waiting.is_empty() => {
                self.progress.leave_out(1);
                return;
            }
            Overlap::BufferOne if waiting.iter().any(in_line) => {
                self.progress.leave_out(1);
                return;
            }
            Overlap::CancelOther | Overlap::TerminateOther => {
                given_up = waiting.iter().filter(|waits| waits.cause == Cause::Scheduled).count() as u64;
                let left_out = waiting.iter().filter(|waits| in_line(waits)).count() as u64;
                waiting.retain(|waits| !in_line(waits));
                waiting.push_front(firing);
                self.progress.leave_out(left_out);
            }
            _ => waiting.push_back(firing),
        }
        if let Some(remaining) = &mut self.schedule.remaining {
            let taken = u64::from(firing.cause == Cause::Scheduled);
            *remaining = remaining.saturating_add(given_up).saturating_sub(taken);
        }
    }

    /// When somebody has to be woken.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let sleeps = self.running > 0 && self.schedule.overlap.waits_for_the_end();
        let off = self.progress.paused || self.schedule.remaining == Some(0);
        if sleeps || off { None } else { self.due_at }
    }
}
