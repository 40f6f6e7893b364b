//! The smallest schedule that still breaks something: what a person reads, and what is kept as a regression.

use crate::{mutant::Mutant, run::run, schedule::Schedule};

/// Leaves out faults, then hours, as long as a violation of the same invariant remains.
pub fn shrink(schedule: &Schedule, mutant: Option<Mutant>) -> Schedule {
    let Some(wanted) = broken(schedule, mutant) else { return schedule.clone() };
    let still_breaks = |candidate: &Schedule| broken(candidate, mutant).as_ref() == Some(&wanted);
    let mut best = schedule.clone();
    loop {
        let smaller = candidates(&best).into_iter().find(|candidate| still_breaks(candidate));
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// The name of the first invariant that breaks.
fn broken(schedule: &Schedule, mutant: Option<Mutant>) -> Option<String> {
    let verdict = run(schedule, mutant, false);
    verdict.violations.first().and_then(|first| first.split(' ').next()).map(str::to_owned)
}

fn candidates(schedule: &Schedule) -> Vec<Schedule> {
    let mut candidates: Vec<Schedule> = (0..schedule.faults.len())
        .map(|left_out| {
            let mut smaller = schedule.clone();
            smaller.faults.remove(left_out);
            smaller
        })
        .collect();
    if schedule.setting.hours > 1 {
        let mut shorter = schedule.clone();
        shorter.setting.hours -= 1;
        candidates.push(shorter);
    }
    candidates
}
