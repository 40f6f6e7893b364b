//! What happens at a moment of its own: to the servers, the clock, the workload, the product.

use jiff::{SignedDuration, Timestamp};

use super::{Event, Stage};
use crate::{
    cell::{Cell, Happening, Successor},
    world::SecondBinding,
};

/// How far a clock steps at an hour's edge.
const EDGE_STEP: SignedDuration = SignedDuration::from_mins(2);

/// How long a process clock is off.
const SKEWED_FOR: SignedDuration = SignedDuration::from_mins(30);

/// For how long a dimension is sold no more: over one or two hours' edges.
const DIMENSION_GONE_FOR: SignedDuration = SignedDuration::from_mins(75);

/// For how long a change of the product is missed: a watch is broken for minutes at most before it is begun anew.
const CHANGE_MISSED_FOR: SignedDuration = SignedDuration::from_mins(20);

/// For how long a binding cannot be used, the same.
const BINDING_GONE_FOR: SignedDuration = SignedDuration::from_mins(80);

impl Stage {
    pub(super) fn happen(&mut self, happening: Happening, now: Timestamp) {
        self.world.state().fired.push(Cell::On(happening));
        let after = |seconds: u32| now + SignedDuration::from_secs(i64::from(seconds));
        match happening {
            Happening::ApiServerDown(seconds) => {
                let mut state = self.world.state();
                state.api_down_until = state.api_down_until.max(after(seconds));
            }
            Happening::AwsDown(seconds) => {
                let mut state = self.world.state();
                state.aws_down_until = state.aws_down_until.max(after(seconds));
            }
            Happening::ConflictStorm(seconds) => self.world.state().contended_until = after(seconds),
            Happening::Throttled(seconds) => self.world.state().throttled_until = after(seconds),
            Happening::NotEntitled(seconds) => self.world.state().not_entitled_until = after(seconds),
            Happening::SecondLeader => {
                let pod = self.new_pod();
                self.agenda.push((now, Event::Start { pod, is_forced: true }));
            }
            Happening::Restart(successor) => {
                self.processes.iter().for_each(|process| process.stop.cancel());
                let pod = self.pod_after(successor);
                let soon = after(20);
                self.agenda.push((soon, Event::Start { pod, is_forced: false }));
            }
            Happening::ClockAhead => self.skew(SignedDuration::from_hours(1), now),
            Happening::ClockBehind => self.skew(SignedDuration::from_hours(-1), now),
            Happening::EdgeSkipped => self.skew(EDGE_STEP, now),
            Happening::EdgeRepeated => self.skew(-EDGE_STEP, now),
            Happening::NewPlugin => {
                self.plugin += 1;
                self.processes.iter().for_each(|process| process.take_plugin(self.plugin));
            }
            Happening::DimensionGone => {
                self.edit_product(true);
                self.agenda.push((now + DIMENSION_GONE_FOR, Event::DimensionReturns));
            }
            Happening::ChangeMissed => {
                self.world.state().is_narrow = true;
                self.agenda.push((now + CHANGE_MISSED_FOR, Event::WatchReturns));
                self.agenda.push((now + DIMENSION_GONE_FOR, Event::DimensionReturns));
            }
            Happening::BindingUnusable => {
                self.edit_bindings(SecondBinding::Unusable);
                self.agenda.push((now + BINDING_GONE_FOR, Event::BindingReturns));
            }
            Happening::BindingGone => {
                self.edit_bindings(SecondBinding::Unreadable);
                self.agenda.push((now + BINDING_GONE_FOR, Event::BindingReturns));
            }
            Happening::CounterReset => {
                let mut state = self.world.state();
                self.lost_in_resets += state.first.workload.counted(Timestamp::UNIX_EPOCH, now);
                state.first.workload.reset_a_source(now);
            }
            Happening::NewSource => self.world.state().first.workload.add_a_source(now),
            Happening::Restored(successor) => self.restore(successor, now),
        }
    }

    /// Puts the newest backup back that is old enough. Whoever worked on the store is gone with it.
    fn restore(&mut self, successor: Successor, now: Timestamp) {
        let oldest = self.backups.iter().find(|backup| backup.is_old(now)).or_else(|| self.backups.first());
        let Some(backup) = oldest else { return };
        backup.put_back(&self.world);
        self.processes.clear();
        let pod = self.pod_after(successor);
        let start = now + SignedDuration::from_secs(20);
        self.agenda.push((start, Event::Start { pod, is_forced: false }));
    }

    fn skew(&mut self, skew: SignedDuration, now: Timestamp) {
        self.world.state().skew = skew;
        self.agenda.push((now + SKEWED_FOR, Event::ClockIsRight));
    }

    /// The vendor sells the counter no more, or again.
    pub(super) fn edit_product(&mut self, is_narrow: bool) {
        self.world.state().is_narrow = is_narrow;
        self.tell_of_the_product();
    }

    /// Those who run see the product as it is.
    pub(super) fn tell_of_the_product(&self) {
        let is_narrow = self.world.state().is_narrow;
        self.processes.iter().for_each(|process| process.take_product(is_narrow));
    }

    /// One of the bindings cannot be used or read, or can again.
    pub(super) fn edit_bindings(&mut self, second: SecondBinding) {
        self.world.state().second_binding = second;
        self.processes.iter().for_each(|process| process.take_bindings(second));
    }
}
