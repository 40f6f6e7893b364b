//! Plays a schedule: starts processes, ends and suspends them as they were told, moves time, and asks the oracle at each step.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{hour::BillingHour, quantity::Quantity, settlement::RecordState};

use crate::{
    backup::{self, Backup},
    cell::{Cell, Happening, Successor},
    mutant::Mutant,
    process::Process,
    schedule::{Fault, Neighbour, Schedule},
    world::{Order, SecondBinding, World},
};

/// How long the run goes on after the last fault: the window of the last hour, its seal, and an hour to carry what expired.
const AFTERMATH: SignedDuration = SignedDuration::from_hours(9);

/// For how long nothing more goes wrong at the end: what is in doubt is decided at its deadline, five hours and fifty minutes
/// after its hour began, and an hour must carry what expired.
const SETTLING: SignedDuration = SignedDuration::from_hours(7);

/// As long as the elector trusts a lease that it does not hear of any more.
const TENURE: SignedDuration = SignedDuration::from_secs(10);

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Every broken invariant, in order.
    pub violations: Vec<String>,
    /// Faults that hit something.
    pub fired: Vec<Cell>,
    /// Changes of records' states.
    pub transitions: BTreeMap<(RecordState, RecordState), u64>,
    /// Simulated hours.
    pub hours: u64,
    /// A line an event, if it was asked for.
    pub trace: Vec<String>,
    /// Hours that were computed again from what was recorded of them.
    pub replayed: u64,
    /// What became of the neighbour, if there is one.
    pub neighbour: Option<Account>,
    /// Whether that was compared with what becomes of it when nothing goes wrong.
    pub is_compared: bool,
    /// What AWS accepted, for comparing two runs.
    pub books: String,
}

/// Something with a moment of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Event {
    Happens(Happening),
    Backup,
    Start { pod: String, is_forced: bool },
    EndTerm(usize),
    ClockIsRight,
    DimensionReturns,
    WatchReturns,
    BindingReturns,
}

struct Stage {
    world: Arc<World>,
    processes: Vec<Process>,
    agenda: Vec<(Timestamp, Event)>,
    started: usize,
    pods: usize,
    plugin: u32,
    lost_in_resets: Quantity,
    backups: Vec<Backup>,
}

/// Plays a schedule, with a defect put back if one is named; and once more without its faults, if that is to be compared.
pub fn run(schedule: &Schedule, mutant: Option<Mutant>, is_traced: bool) -> Verdict {
    let lasts = lasting(schedule);
    let mut verdict = play(schedule, mutant, is_traced, lasts);
    if schedule.setting.neighbour == Neighbour::Compared {
        let quiet = Schedule { faults: vec![], ..schedule.clone() };
        let quiet = play(&quiet, mutant, false, lasts);
        verdict.violations.extend(quiet.violations);
        verdict.is_compared = true;
        verdict.violations.extend(judge::differences(verdict.neighbour.as_ref(), quiet.neighbour.as_ref()));
    }
    verdict
}

fn play(schedule: &Schedule, mutant: Option<Mutant>, is_traced: bool, lasts: SignedDuration) -> Verdict {
    let world = Arc::new(World::new(schedule, mutant, lasts - SETTLING));
    if is_traced {
        world.trace_on();
    }
    let mut stage = Stage {
        processes: vec![],
        agenda: agenda(schedule, world.start),
        started: 0,
        pods: 0,
        plugin: 0,
        lost_in_resets: Quantity::ZERO,
        backups: vec![],
        world,
    };
    // Not in the middle of an hour's settling.
    let end = BillingHour::of(stage.world.start + lasts).end() - SignedDuration::from_mins(10);
    let pod = stage.new_pod();
    stage.start(&pod);
    let hung = stage.play(end);
    stage.verdict(hung)
}

/// The happenings of the schedule.
fn agenda(schedule: &Schedule, start: Timestamp) -> Vec<(Timestamp, Event)> {
    let at = |second: u32| start + SignedDuration::from_secs(i64::from(second));
    let mut agenda = Vec::new();
    for fault in &schedule.faults {
        let Fault::On { second, happening } = fault else { continue };
        if matches!(happening, Happening::Restored(_)) {
            agenda.push((at(second.saturating_sub(backup::age(*second))), Event::Backup));
        }
        agenda.push((at(*second), Event::Happens(*happening)));
    }
    agenda
}

/// How long a run lasts at least.
fn lasting(schedule: &Schedule) -> SignedDuration {
    let workload = i64::from(schedule.setting.hours) * 3600;
    let last = schedule.faults.iter().map(|fault| match fault {
        Fault::On { second, happening } => {
            let lasts = match happening {
                Happening::ApiServerDown(seconds)
                | Happening::AwsDown(seconds)
                | Happening::Throttled(seconds)
                | Happening::NotEntitled(seconds) => *seconds,
                _ => 1800,
            };
            i64::from(second + lasts)
        }
        Fault::At { .. } => 0,
    });
    let last = last.max().unwrap_or_default().max(workload);
    SignedDuration::from_secs(last) + AFTERMATH
}

mod happen;
mod judge;

pub use self::judge::Account;

impl Stage {
    /// Whether everything came to a stop before the end.
    fn play(&mut self, end: Timestamp) -> bool {
        while self.world.now() < end {
            let something_happened = self.run_due_events();
            let somebody_stopped = self.poll_processes();
            if something_happened || somebody_stopped {
                self.ensure_a_leader();
            }
            let silence_ends = self.listen();
            let moments = self.agenda.iter().map(|(moment, _)| *moment);
            let moments = moments.chain(self.processes.iter().filter_map(Process::next));
            self.world.clock.forget_waits();
            for moment in moments.chain(silence_ends).chain([end]) {
                self.world.clock.await_moment(moment);
            }
            if self.world.clock.advance().is_none() {
                return true;
            }
        }
        false
    }

    /// Whether anything was due.
    fn run_due_events(&mut self) -> bool {
        let now = self.world.now();
        if self.agenda.iter().all(|(moment, _)| *moment > now) {
            return false;
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.agenda).into_iter().partition(|(moment, _)| *moment <= now);
        self.agenda = later;
        for (_, event) in due {
            self.world.trace(format_args!("{event:?}"));
            match event {
                Event::Happens(happening) => self.happen(happening, now),
                Event::Backup => self.backups.push(Backup::of(&self.world)),
                Event::Start { pod, is_forced } => self.start_in_turn(pod, is_forced, now),
                Event::EndTerm(number) => {
                    for process in self.processes.iter().filter(|process| process.number == number) {
                        process.stop.cancel();
                    }
                }
                Event::ClockIsRight => self.world.state().skew = SignedDuration::ZERO,
                Event::DimensionReturns => self.edit_product(false),
                Event::WatchReturns => self.tell_of_the_product(),
                Event::BindingReturns => self.edit_bindings(SecondBinding::Usable),
            }
        }
        self.processes.iter().for_each(Process::wake);
        true
    }

    /// One process a pod: a container starts again, and a term begins, only when what was there before has ended.
    fn start_in_turn(&mut self, pod: String, is_forced: bool, now: Timestamp) {
        if self.processes.iter().any(|process| process.pod == pod) {
            self.agenda.push((now + SignedDuration::from_secs(1), Event::Start { pod, is_forced }));
        } else if is_forced || !self.has_leader() {
            self.end_terms(now + TENURE);
            self.start(&pod);
        }
    }

    /// Whether a process ended, died or was suspended.
    fn poll_processes(&mut self) -> bool {
        let now = self.world.now();
        let mut ended = Vec::new();
        for process in &mut self.processes {
            if let Some(until) = process.suspended_until {
                if now < until {
                    continue;
                }
                process.suspended_until = None;
                process.wake();
            }
            if process.poll() {
                ended.push(process.number);
            }
        }
        let orders = std::mem::take(&mut self.world.state().orders);
        if ended.is_empty() && orders.is_empty() {
            return false;
        }
        self.processes.retain(|process| !ended.contains(&process.number));
        for (number, order) in orders {
            self.obey(number, order, now);
        }
        true
    }

    fn obey(&mut self, number: usize, order: Order, now: Timestamp) {
        let seconds = i64::try_from(self.world.state().random.below(60)).unwrap_or_default();
        match order {
            Order::Die(successor) => {
                let pod = match successor {
                    Successor::SamePod => self.pod_of(number),
                    Successor::NewPod => self.new_pod(),
                };
                self.processes.retain(|process| process.number != number);
                let start = now + SignedDuration::from_secs(10 + seconds);
                self.agenda.push((start, Event::Start { pod, is_forced: false }));
            }
            Order::Suspend { until, takeover } => {
                let pod = if takeover { self.new_pod() } else { self.pod_of(number) };
                for process in self.processes.iter_mut().filter(|process| process.number == number) {
                    process.suspended_until = Some(until);
                    process.term.ends_at(now + TENURE);
                }
                // When it wakes, its elector finds the lease gone within a second.
                self.agenda.push((until + SignedDuration::from_secs(1), Event::EndTerm(number)));
                let start = if takeover { now + SignedDuration::from_secs(15) } else { until };
                let start = start + SignedDuration::from_secs(seconds);
                // Nobody takes the lease of a leader that is awake: the suspended one's is over by then.
                self.agenda.push((start, Event::Start { pod, is_forced: false }));
            }
        }
    }

    fn start(&mut self, pod: &str) {
        let process = Process::start(&self.world, self.started, pod, self.plugin);
        self.world.trace(format_args!("process {} starts in {pod}", self.started));
        let mut state = self.world.state();
        if state.second_binding == SecondBinding::Unreadable {
            // It does not know of a binding that cannot be read, so what is open of it is sealed without.
            state.first.oracle.note_unknown_binding();
        }
        drop(state);
        self.started += 1;
        self.processes.push(process);
    }

    /// The others learn within their tenure that they lead no more.
    fn end_terms(&mut self, moment: Timestamp) {
        for process in &self.processes {
            process.term.ends_at(moment);
            self.agenda.push((moment, Event::EndTerm(process.number)));
        }
    }

    fn has_leader(&self) -> bool {
        self.processes.iter().any(|process| process.term.is_open())
    }

    fn ensure_a_leader(&mut self) {
        let is_coming = self.agenda.iter().any(|(_, event)| matches!(event, Event::Start { .. }));
        if !self.has_leader() && !is_coming {
            let pod = self.pod_after(Successor::SamePod);
            let start = self.world.now() + SignedDuration::from_secs(15);
            self.agenda.push((start, Event::Start { pod, is_forced: false }));
        }
    }

    fn new_pod(&mut self) -> String {
        self.pods += 1;
        format!("pod-{}", self.pods - 1)
    }

    fn pod_of(&self, number: usize) -> String {
        let process = self.processes.iter().find(|process| process.number == number);
        process.map_or_else(String::new, |process| process.pod.clone())
    }

    fn pod_after(&mut self, successor: Successor) -> String {
        match successor {
            Successor::NewPod => self.new_pod(),
            // The newest pod is the one that the deployment still has.
            Successor::SamePod => format!("pod-{}", self.pods.saturating_sub(1)),
        }
    }

    /// I7: whether somebody says what needs a person. Returns when silence has lasted too long, if it lasts.
    fn listen(&mut self) -> Option<Timestamp> {
        let now = self.world.now();
        let mut state = self.world.state();
        let can_speak = now >= state.api_down_until
            && state.skew.is_zero()
            && self.processes.iter().any(|process| process.suspended_until.is_none());
        let silences = self.world.tenants().iter().filter_map(|tenant| {
            let oracle = state.oracle(*tenant);
            for breach in self.processes.iter().filter_map(|process| process.breach(*tenant)) {
                oracle.breach("Guard", now, breach);
            }
            let is_fine = !oracle.is_anything_needed() || !can_speak;
            let is_said = is_fine || self.processes.iter().any(|process| process.is_loud(*tenant));
            oracle.note_loudness(is_said, now)
        });
        // Looked at right after the minute, whatever else happens then.
        silences.min().map(|borne_until| borne_until + SignedDuration::from_nanos(1))
    }

    fn verdict(mut self, hung: bool) -> Verdict {
        if hung {
            let now = self.world.now();
            self.world.state().first.oracle.breach("Hung", now, "nothing waits for anything");
        }
        self.replay();
        let books = self.world.aws.lock().view();
        let neighbour = self.judge(&books);
        let mut state = self.world.state();
        let state = &mut *state;
        let (first, other) = (&mut state.first.oracle, &mut state.neighbour.oracle);
        let mut violations = std::mem::take(&mut first.violations);
        violations.append(&mut other.violations);
        let mut transitions = std::mem::take(&mut first.transitions);
        for (transition, count) in std::mem::take(&mut other.transitions) {
            *transitions.entry(transition).or_default() += count;
        }
        let lasted = self.world.now().duration_since(self.world.start);
        Verdict {
            violations,
            fired: std::mem::take(&mut state.fired),
            transitions,
            replayed: first.replayed + other.replayed,
            neighbour,
            is_compared: false,
            hours: u64::try_from(lasted.as_hours()).unwrap_or_default(),
            trace: std::mem::take(&mut state.trace),
            books: format!("{:?}", books.accepted),
        }
    }
}
