//! At least two hundred deaths, and every unit billed once or accounted for.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and tell their seed"
)]

use std::{collections::BTreeMap, path::Path};

use futures::future::join_all;
use tokio::sync::Notify;
use tollkeeper_kill_tests::{Moment, Schedule, Site, audit, storm};
use tollkeeper_kit::ControlPlane;

/// Sites that suffer side by side; what one of them waits for, the others use.
const SITES: u64 = 5;

/// Deaths of each, unless TOLLKEEPER_KILL_ROUNDS says otherwise.
const ROUNDS: usize = 40;

fn setting<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    text.parse().ok().or_else(|| panic!("{variable} is not a number: {text}"))
}

#[tokio::test]
async fn whatever_dies_and_whenever_each_unit_is_billed_once_or_accounted_for() {
    let seed = setting("TOLLKEEPER_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = setting("TOLLKEEPER_KILL_ROUNDS").unwrap_or(ROUNDS);
    eprintln!("TOLLKEEPER_KILL_SEED={seed} TOLLKEEPER_KILL_ROUNDS={rounds}");
    let plane = ControlPlane::alone().await.unwrap();
    let schedules: Vec<Schedule> =
        (0..SITES).map(|site| Schedule::of(seed.wrapping_add(site), rounds)).collect();
    let opening = (0..SITES).zip(&schedules).map(|(number, schedule)| async move {
        Site::open(plane, &format!("site-{number}"), seed.wrapping_add(number), schedule).await
    });
    let mut sites = join_all(opening).await;

    let calm = Notify::new();
    let suffering = async {
        join_all(sites.iter_mut().zip(&schedules).map(|(site, schedule)| site.endure(schedule))).await;
        calm.notify_one();
    };
    let (servers, ()) = futures::join!(storm(plane, seed, calm.notified()), suffering);
    let accounts = join_all(sites.iter_mut().map(Site::close)).await;

    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, times) in sites.iter().flat_map(|site| site.chronicle().tally()) {
        *tally.entry(kind).or_default() += times;
    }
    let kills = sites.iter().map(Site::kills).sum::<usize>() + servers;
    eprintln!("{kills} kills, {servers} of them of servers; {tally:#?}");
    let mut failed = false;
    for (site, account) in sites.iter().zip(accounts) {
        let wrong = account.map_or_else(|failure| vec![failure.to_string()], |account| audit(&account));
        if !wrong.is_empty() {
            failed = true;
            let story = site.chronicle().tell(Path::new(env!("CARGO_TARGET_TMPDIR")));
            eprintln!("{story}\nwhat is wrong: {wrong:#?}");
        }
    }
    assert!(!failed, "see above; again with TOLLKEEPER_KILL_SEED={seed} TOLLKEEPER_KILL_ROUNDS={rounds}");
    assert!(kills >= sites.len() * rounds, "{kills}");
    let was_hit = |point: &Moment| {
        tally.keys().any(|kind| kind.starts_with("killed") && kind.ends_with(&format!("({point:?})")))
    };
    let missed: Vec<_> = Moment::POINTS.iter().filter(|point| !was_hit(point)).collect();
    assert!(missed.is_empty() || rounds < ROUNDS, "nobody was killed at {missed:?}");
}
