//! Seeds, regressions and mutants, as CI runs them. `make chaos SEEDS=1000000` runs more seeds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: macros hide from clippy that it is one"
)]

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use tollkeeper_chaos::{
    cell::Cell,
    mutant::Mutant,
    run::run,
    schedule::{Neighbour, Schedule},
    shrink::shrink,
    table::Table,
};

/// Within so many seeds every mutant must be caught; most are by the first.
const SEEDS_FOR_A_MUTANT: u64 = 400;

/// Within so many schedules with one of its faults a cell must be met; most are by the first.
const SCHEDULES_FOR_A_CELL: u64 = 100;

/// Runs seeds; the first that breaks something is shrunk and shown.
fn sweep(seeds: Range<u64>) {
    let mut table = Table::default();
    for seed in seeds {
        let schedule = Schedule::of(seed);
        let verdict = run(&schedule, None, false);
        if !verdict.violations.is_empty() {
            let small = serde_yaml::to_string(&shrink(&schedule, None)).unwrap();
            panic!(
                "seed {seed} breaks {:#?}\nkeep as tests/chaos/regressions/<what>.yaml:\n{small}",
                verdict.violations
            );
        }
        table.add(&verdict);
    }
    println!(
        "{} runs, {} simulated hours, {} computed again, {} of neighbours, no violation",
        table.runs, table.hours, table.replayed, table.neighbours
    );
}

/// Five thousand seeds in ten parts, so that they share the cores of the machine.
macro_rules! seeds {
    ($($name:ident: $seeds:expr;)*) => {
        $(
            #[test]
            fn $name() {
                sweep($seeds);
            }
        )*
    };
}

seeds! {
    seeds_to_500_break_no_invariant: 0..500;
    seeds_to_1000_break_no_invariant: 500..1000;
    seeds_to_1500_break_no_invariant: 1000..1500;
    seeds_to_2000_break_no_invariant: 1500..2000;
    seeds_to_2500_break_no_invariant: 2000..2500;
    seeds_to_3000_break_no_invariant: 2500..3000;
    seeds_to_3500_break_no_invariant: 3000..3500;
    seeds_to_4000_break_no_invariant: 3500..4000;
    seeds_to_4500_break_no_invariant: 4000..4500;
    seeds_to_5000_break_no_invariant: 4500..5000;
}

#[test]
fn every_cell_of_the_fault_matrix_is_met_and_breaks_nothing() {
    let is_met = |cell: Cell| {
        (0..SCHEDULES_FOR_A_CELL).any(|seed| {
            let verdict = run(&Schedule::around(cell, seed), None, false);
            assert_eq!(verdict.violations, Vec::<String>::new(), "{cell}, seed {seed}");
            verdict.fired.contains(&cell)
        })
    };
    let missed: Vec<Cell> = Cell::all().into_iter().filter(|cell| !is_met(*cell)).collect();
    assert_eq!(missed, []);
}

#[test]
fn every_defect_that_is_put_back_is_caught() {
    let mut caught = BTreeMap::new();
    for mutant in Mutant::ALL {
        let first = (0..SEEDS_FOR_A_MUTANT).find_map(|seed| {
            let verdict = run(&Schedule::of(seed), Some(mutant), false);
            let is_its_own = |violation: &String| violation.split(' ').next() == Some(mutant.breaks());
            verdict.violations.into_iter().find(is_its_own).map(|violation| (seed, violation))
        });
        if let Some((seed, violation)) = &first {
            println!("{mutant:?}: seed {seed}: {violation}");
        }
        caught.insert(mutant, first);
    }
    let survivors: Vec<_> = caught.iter().filter(|(_, first)| first.is_none()).map(|(one, _)| one).collect();
    assert!(survivors.is_empty(), "nobody notices {survivors:?}");
}

#[test]
fn schedules_that_once_broke_something_break_nothing_any_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let schedule: Schedule = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let verdict = run(&schedule, None, false);
        assert_eq!(verdict.violations, Vec::<String>::new(), "{}", path.display());
        assert!(!verdict.fired.is_empty(), "{} hits nothing any more", path.display());
        count += 1;
    }
    assert!(count > 0, "there are regressions to look at");
}

#[test]
fn hours_are_computed_again_and_neighbours_are_compared() {
    let mut table = Table::default();
    for schedule in (0..200).map(Schedule::of) {
        if schedule.setting.is_recorded || schedule.setting.neighbour != Neighbour::Nobody {
            table.add(&run(&schedule, None, false));
        }
    }
    assert!(table.replayed > 0 && table.neighbours > table.compared && table.compared > 0, "{table}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let schedule = Schedule::of(seed);
        assert_eq!(run(&schedule, None, true), run(&schedule, None, true), "seed {seed}");
    }
}

#[test]
fn what_is_shrunk_still_breaks_and_is_no_larger() {
    let mutant = Some(Mutant::ErrorIsSuccess);
    let seed = (0..SEEDS_FOR_A_MUTANT)
        .find(|seed| !run(&Schedule::of(*seed), mutant, false).violations.is_empty())
        .unwrap();
    let schedule = Schedule::of(seed);
    let small = shrink(&schedule, mutant);
    assert!(!run(&small, mutant, false).violations.is_empty());
    assert!(small.faults.len() <= schedule.faults.len() && !small.faults.is_empty());
}
