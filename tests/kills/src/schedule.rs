//! When an operator dies, how, and who comes after it: all from one seed.

use std::{ops::Range, time::Duration};

use fastrand::Rng;

/// What is waited for before the blow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Moment {
    /// Any: so long after the last start.
    After(Duration),
    /// A checkpoint has been written.
    Checkpointed,
    /// A report has been created.
    Sealed,
    /// A claim has been written: the first byte may be on its way.
    Claimed,
    /// AWS has taken a record, and most of the time holds back its reply.
    Taken,
    /// A report has been settled.
    Settled,
}

impl Moment {
    /// Those that are points of an operator's work.
    pub const POINTS: [Self; 5] =
        [Self::Checkpointed, Self::Sealed, Self::Claimed, Self::Taken, Self::Settled];
}

/// Who comes after the dead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Successor {
    /// The same pod: its container restarts.
    SamePod,
    /// Another pod, which AWS does not know to be the same operator.
    NewPod,
}

/// What happens to the operator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Blow {
    /// SIGKILL.
    Kill(Successor),
    /// SIGSTOP for so long, then SIGCONT, then SIGKILL.
    Pause(Duration),
    /// SIGSTOP; another pod gets the lease and works for so long; SIGCONT, so that both believe to lead; SIGKILL for the older.
    StolenLease(Duration),
}

/// One life of an operator: usage in it, and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Round {
    /// Gigabytes that are scanned when it begins.
    pub gigabytes: u64,
    /// When it ends.
    pub moment: Moment,
    /// How.
    pub blow: Blow,
}

/// The rounds of one site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// In order.
    pub rounds: Vec<Round>,
}

impl Schedule {
    /// The same for the same seed. It begins with a kill at each point, because chance might leave one out.
    pub fn of(seed: u64, rounds: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let points = Moment::POINTS.map(|moment| Round {
            gigabytes: rng.u64(0..10),
            moment,
            blow: Blow::Kill(Successor::SamePod),
        });
        let any = std::iter::repeat_with(|| round(&mut rng));
        Self { rounds: points.into_iter().chain(any).take(rounds).collect() }
    }

    /// How many pods the operator is in the course of it, the first one not counted.
    pub fn new_pods(&self) -> usize {
        let needs_a_pod =
            |round: &&Round| matches!(round.blow, Blow::Kill(Successor::NewPod) | Blow::StolenLease(_));
        self.rounds.iter().filter(needs_a_pod).count()
    }
}

fn round(rng: &mut Rng) -> Round {
    // Half of the kills hit a named point; the others any, most of them while the operator is still starting.
    let moment = match rng.u32(0..10) {
        0..5 => Moment::After(millis(rng, 50..3_000)),
        5 => Moment::Checkpointed,
        6 => Moment::Sealed,
        7 => Moment::Claimed,
        8 => Moment::Taken,
        _ => Moment::Settled,
    };
    let blow = match rng.u32(0..20) {
        0..12 => Blow::Kill(Successor::SamePod),
        12..17 => Blow::Kill(Successor::NewPod),
        17 => Blow::Pause(millis(rng, 200..2_000)),
        _ => Blow::StolenLease(millis(rng, 1_500..4_000)),
    };
    Round { gigabytes: rng.u64(0..10), moment, blow }
}

fn millis(rng: &mut Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_schedule_and_another_one_does_not() {
        assert_eq!(Schedule::of(7, 50), Schedule::of(7, 50));
        assert_ne!(Schedule::of(7, 50), Schedule::of(8, 50));
    }

    #[test]
    fn every_moment_and_every_blow_comes_up_in_a_run_of_the_usual_length() {
        for seed in 0..20 {
            let rounds = Schedule::of(seed, 200).rounds;
            let has_moment = |wanted: Moment| rounds.iter().any(|round| round.moment == wanted);
            for moment in Moment::POINTS {
                assert!(has_moment(moment), "{seed}: {moment:?}");
            }
            let has_blow = |is: fn(&Blow) -> bool| rounds.iter().any(|round| is(&round.blow));
            assert!(has_blow(|blow| *blow == Blow::Kill(Successor::SamePod)), "{seed}");
            assert!(has_blow(|blow| *blow == Blow::Kill(Successor::NewPod)), "{seed}");
            assert!(has_blow(|blow| matches!(blow, Blow::Pause(_))), "{seed}");
            assert!(has_blow(|blow| matches!(blow, Blow::StolenLease(_))), "{seed}");
        }
    }
}
