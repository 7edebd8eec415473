//! The closed model: virtual users that start again when they are done.

use std::cell::Cell;
use std::rc::Rc;

use tokio_util::sync::CancellationToken;

use super::execution::Job;
use super::scenario_runner::ScenarioRunner;
use super::sign_in::Pass;
use crate::profile::ExecutorPlan;
use slatest_core::model::Nanos;
use slatest_core::schedule::{Curve, Share};

/// How often the number of users is brought to what the plan says.
const TICK: Nanos = Nanos::from_millis(50);
/// How long the clock is given at a time that still reads zero: the start is yet to come.
const SOON: Nanos = Nanos::from_millis(1);
/// How long a user whose session could not be opened waits before it tries again.
const RETRY: Nanos = Nanos::from_millis(200);

/// Executions of users that are taken over are numbered from here on: those of the users that they stand
/// in for drew other values.
const TAKEN_OVER: u64 = 1 << 32;

/// The users of one scenario that live on one worker.
pub struct Users {
    runner: Rc<ScenarioRunner>,
    /// Which users.
    share: Share,
    /// They begin no earlier.
    from: Nanos,
    curve: Curve,
    think: Nanos,
    /// Users with a number below this go on; the others end after what they are doing.
    wanted: Cell<u64>,
    executions: Cell<u64>,
    stop: CancellationToken,
}

impl Users {
    /// The users of a runner; none when its scenario is an open model.
    pub fn of(runner: &Rc<ScenarioRunner>, stop: CancellationToken) -> Option<Rc<Self>> {
        Self::part(runner, runner.share(), Nanos::ZERO, 0, stop)
    }

    /// The users of somebody who is lost; none when the scenario is an open model.
    pub fn taken_over(
        runner: &Rc<ScenarioRunner>,
        share: Share,
        from: Nanos,
        stop: CancellationToken,
    ) -> Option<Rc<Self>> {
        Self::part(runner, share, from, TAKEN_OVER, stop)
    }

    fn part(
        runner: &Rc<ScenarioRunner>,
        share: Share,
        from: Nanos,
        first: u64,
        stop: CancellationToken,
    ) -> Option<Rc<Self>> {
        let ExecutorPlan::Users { stages, think } = &runner.scenario().executor else {
            return None;
        };
        if share.is_empty() {
            return None;
        }
        Some(Rc::new(Self {
            runner: Rc::clone(runner),
            share,
            from,
            curve: Curve::new(stages),
            think: *think,
            wanted: Cell::new(0),
            executions: Cell::new(first),
            stop,
        }))
    }

    /// Keeps as many users as the plan says until it ends or the run is stopped.
    pub async fn run(self: Rc<Self>) {
        let (start, end) = (self.runner.scenario().start, self.runner.scenario().end());
        let share = self.share;
        let mut spawned: Vec<tokio::task::JoinHandle<()>> = Vec::new();
        loop {
            let now = self.runner.in_flight().clock.now();
            // What began before the start would take no time by this clock.
            if now == Nanos::ZERO && !self.stop.is_cancelled() {
                tokio::time::sleep(SOON.as_duration()).await;
                continue;
            }
            if now >= end || self.stop.is_cancelled() {
                break;
            }
            let wanted =
                if now < start || now < self.from { 0 } else { self.curve.value_at(now - start).round() as u64 };
            self.wanted.set(wanted);
            let mine = share.share_of(wanted) as usize;
            for number in 0..mine {
                let index = share.nth(number as u64);
                if number == spawned.len() {
                    spawned.push(tokio::task::spawn_local(Rc::clone(&self).live(index, number as u64)));
                } else if spawned[number].is_finished() {
                    spawned[number] = tokio::task::spawn_local(Rc::clone(&self).live(index, number as u64));
                }
            }
            let pause = TICK.min(end - now);
            tokio::select! {
                () = tokio::time::sleep(pause.as_duration()) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.wanted.set(0);
    }

    fn goes_on(&self, index: u64) -> bool {
        index < self.wanted.get() && !self.stop.is_cancelled()
    }

    /// A user's life; `place` is its number among those of its share.
    async fn live(self: Rc<Self>, index: u64, place: u64) {
        let runner = &self.runner;
        let context = runner.seat_of(self.share, place);
        let pass = Pass::default();
        let mut kept = None;
        let mut bounds = runner.bounds();
        while self.goes_on(index) {
            let stripe = self.share.stripe();
            let seq = self.executions.get() * stripe.of + stripe.index;
            self.executions.set(self.executions.get() + 1);
            let intended = runner.in_flight().clock.now();
            let item = runner.choose(seq);
            let signs_in = runner.does_once() && pass.is_due(intended);
            let (operation, judged) = runner.first_operation((!signs_in).then_some(item), intended);
            let ticket = runner.in_flight().began(operation, judged, intended);
            let job = Job { seq, item: Some(item), ticket, signs_in };
            let mut session = match kept.take() {
                Some(session) => session,
                None => match bounds.abort.unless_asked(runner.connect_for(&context, &job.ticket)).await {
                    None => return,
                    Some(Ok(opened)) => opened,
                    Some(Err(error)) => {
                        runner.not_connected(job, error);
                        self.pause(RETRY).await;
                        continue;
                    }
                },
            };
            if !runner.execute(session.as_mut(), (context.index, &pass), job, &mut bounds).await {
                return;
            }
            if self.think > Nanos::ZERO {
                let pause = self.pause(self.think);
                match session.idle_timeout().filter(|limit| *limit < self.think) {
                    None => pause.await,
                    Some(limit) => {
                        let mut pause = std::pin::pin!(pause);
                        if bounds.within(limit, pause.as_mut()).await.is_none() {
                            session.let_go();
                            pause.await;
                        }
                    }
                }
            } else {
                // Waiting for the answer gave the others their turn; this does for what never waits.
                tokio::task::coop::consume_budget().await;
            }
            kept = Some(session);
        }
        if let Some(session) = kept {
            session.close().await;
        }
    }

    async fn pause(&self, length: Nanos) {
        tokio::select! {
            () = tokio::time::sleep(length.as_duration()) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
