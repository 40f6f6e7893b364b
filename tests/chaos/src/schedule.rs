//! Everything that will go wrong in one run, drawn from a seed or read from a file.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tollkeeper_core::product::{AmbiguousPolicy, LatePolicy, Rounding};

use crate::{
    cell::{Cell, Deed, Happening, Step},
    random::Random,
};

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// The nth effect of a kind, counted from 1 over all processes.
    At {
        /// The kind.
        step: Step,
        /// Which of them.
        nth: u32,
        /// What happens to it.
        deed: Deed,
    },
    /// A moment.
    On {
        /// Seconds from the start.
        second: u32,
        /// What happens.
        happening: Happening,
    },
}

impl Fault {
    /// Its cell of the matrix.
    pub fn cell(&self) -> Cell {
        match self {
            Self::At { step, deed, .. } => Cell::At(*step, *deed),
            Self::On { happening, .. } => Cell::On(*happening),
        }
    }
}

/// What is metered and under which policies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// Hours in which the workload does something.
    pub hours: u32,
    /// Seconds from 14:00 to the start: a start in mid-hour.
    pub starts_after: u32,
    /// Seconds between ticks.
    pub interval: u32,
    /// For claims of unknown outcome.
    pub ambiguous: AmbiguousPolicy,
    /// For usage that comes too late.
    pub late: LatePolicy,
    /// Of all dimensions.
    pub rounding: Rounding,
    /// Whether hours without usage are reported.
    pub zero_records: bool,
    /// Whether all that hours are computed from is recorded, so that they can be computed again.
    #[serde(default)]
    pub is_recorded: bool,
    /// Whether a second product is metered by the same processes.
    #[serde(default)]
    pub neighbour: Neighbour,
}

/// A second product in the same processes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum Neighbour {
    /// There is none.
    #[default]
    Nobody,
    /// There is one, and everything may go wrong.
    Judged,
    /// There is one, and only the first product has troubles. The run is played again without any: for the neighbour it must
    /// be the same.
    Compared,
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// For latencies and the workload's numbers.
    pub seed: u64,
    /// What is metered.
    pub setting: Setting,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// More would rather hide each other than find more.
const MOST_FAULTS: u64 = 6;

/// One schedule in so many lasts for days: ten times as much work, for what happens to reports only when they are old.
const LONG_ONE_IN: u64 = 50;

/// One schedule in so many records its hours and computes them again.
const RECORDED_ONE_IN: u64 = 25;

/// One schedule in so many has a neighbour that suffers with the first product, and one a neighbour that must not notice it.
const NEIGHBOUR_ONE_IN: u64 = 100;

/// Reports are deleted 54 hours after their hour, in the morning: this is two or three such mornings.
const LONG_HOURS: Range<u32> = 84..120;

/// The first hour's report is deleted in the third morning, 65 hours later, and 9 hours run after the last hour.
const PRUNED_AFTER: u32 = 56;

impl Schedule {
    /// The schedule of a seed.
    pub fn of(seed: u64) -> Self {
        if seed % LONG_ONE_IN == LONG_ONE_IN - 1 {
            return Self::of_days(seed);
        }
        let mut random = Random::new(seed);
        let is_recorded = seed % RECORDED_ONE_IN == RECORDED_ONE_IN - 2;
        let neighbour = match seed % NEIGHBOUR_ONE_IN {
            33 => Neighbour::Judged,
            66 => Neighbour::Compared,
            _ => Neighbour::Nobody,
        };
        let setting = Setting { is_recorded, neighbour, ..setting(&mut random) };
        let mut cells = Cell::all();
        cells.retain(|cell| match neighbour {
            Neighbour::Compared => cell.is_of_one_product(),
            Neighbour::Nobody | Neighbour::Judged => !cell.takes_days(),
        });
        let count = random.below(MOST_FAULTS) + 1;
        let faults = (0..count).filter_map(|_| random.pick(&cells).copied()).collect::<Vec<_>>().into_iter();
        let faults = faults.map(|cell| fault(cell, &setting, &mut random)).collect();
        Self { seed, setting, faults }
    }

    /// One that lasts until reports are deleted.
    fn of_days(seed: u64) -> Self {
        let extra = Random::new(seed).below(u64::from(LONG_HOURS.end - LONG_HOURS.start));
        Self::lasting(LONG_HOURS.start + u32::try_from(extra).unwrap_or_default(), seed)
    }

    /// The schedule of a seed for a long run: a fault a day on average, of any kind, and no fewer than a short one has.
    pub fn lasting(hours: u32, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let setting = Setting { hours, ..setting(&mut random) };
        let cells = Cell::all();
        let faults = (0..u64::from(hours / 24).max(MOST_FAULTS)).filter_map(|_| random.pick(&cells).copied());
        let faults = faults.collect::<Vec<_>>().into_iter();
        let faults = faults.map(|cell| fault(cell, &setting, &mut random)).collect();
        Self { seed, setting, faults }
    }

    /// A schedule with one fault of a cell, and what it takes to get there.
    pub fn around(cell: Cell, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut setting = Setting { is_recorded: true, ..setting(&mut random) };
        if cell.takes_days() {
            setting.hours = LONG_HOURS.start;
        }
        let mut faults = vec![fault(cell, &setting, &mut random)];
        if matches!(cell, Cell::At(Step::Reread, _)) {
            // Only a conflict makes anybody read again.
            faults.push(Fault::At { step: Step::Record, nth: 1, deed: Deed::Conflict });
        }
        Self { seed, setting, faults }
    }

    /// Whether a fault of this kind is part of it.
    pub(crate) fn has(&self, is_wanted: impl Fn(Cell) -> bool) -> bool {
        self.faults.iter().any(|fault| is_wanted(fault.cell()))
    }
}

fn setting(random: &mut Random) -> Setting {
    let late = [LatePolicy::CarryForward, LatePolicy::CarryForward, LatePolicy::WriteOff, LatePolicy::Hold];
    Setting {
        hours: u32::try_from(random.below(4)).unwrap_or_default() + 2,
        starts_after: [0, 0, 600, 1935]
            .get(usize::try_from(random.below(4)).unwrap_or_default())
            .copied()
            .unwrap_or(0),
        interval: random.pick(&[300, 900, 1800]).copied().unwrap_or(900),
        ambiguous: if random.below(4) == 0 {
            AmbiguousPolicy::NeverUnderBill
        } else {
            AmbiguousPolicy::NeverDoubleBill
        },
        late: random.pick(&late).copied().unwrap_or(LatePolicy::CarryForward),
        rounding: random
            .pick(&[Rounding::Carry, Rounding::Carry, Rounding::Up, Rounding::Nearest])
            .copied()
            .unwrap_or(Rounding::Carry),
        zero_records: random.below(3) == 0,
        is_recorded: false,
        neighbour: Neighbour::Nobody,
    }
}

/// Places a fault where it can be expected to hit something: each step comes about so many times an hour.
fn fault(cell: Cell, setting: &Setting, random: &mut Random) -> Fault {
    let mut draw = |end: u32| u32::try_from(random.below(u64::from(end.max(1)))).unwrap_or_default();
    match cell {
        Cell::At(step, deed) => {
            let ticks = 3600 / setting.interval;
            let an_hour = match step {
                Step::Collect | Step::Measure => ticks,
                Step::Checkpoint => ticks.min(12),
                Step::Seal | Step::History | Step::Claim | Step::Mark | Step::Record => 1,
                Step::Send => 2,
                Step::Scan => 60,
                // Once a process; later ones only after deaths and conflicts.
                Step::Restore | Step::Reread => 0,
                Step::RollUp | Step::Prune => 0,
            };
            let most = match step {
                Step::RollUp => setting.hours / 24,
                Step::Prune => setting.hours.saturating_sub(PRUNED_AFTER),
                _ => an_hour * setting.hours,
            };
            Fault::At { step, nth: 1 + draw(most), deed }
        }
        Cell::On(happening) => {
            let second = draw(setting.hours * 3600);
            // A minute before an edge, or after it.
            let edge = (second + setting.starts_after) / 3600 * 3600 + 3600;
            let second = match happening {
                Happening::EdgeSkipped => (edge - 60).saturating_sub(setting.starts_after),
                Happening::EdgeRepeated => (edge + 60).saturating_sub(setting.starts_after),
                _ => second,
            };
            Fault::On { second, happening }
        }
    }
}
