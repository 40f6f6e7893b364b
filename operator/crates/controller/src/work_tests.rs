#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
use std::{
    cell::{Cell, RefCell},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::stream;

use super::*;

/// A clock that jumps to whatever somebody waits for.
struct JumpingClock(Mutex<Timestamp>);

impl JumpingClock {
    fn new() -> Self {
        Self(Mutex::new(start()))
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, moment: Timestamp) {
        tokio::task::yield_now().await;
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = moment.max(*now);
    }
}

fn start() -> Timestamp {
    "2026-11-21T14:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

#[test]
fn the_earlier_of_two_moments_counts() {
    let mut queue = Queue::default();
    queue.add("a", after(10));
    queue.add("a", after(5));
    queue.add("a", after(7));
    assert_eq!(queue.pop(after(4)), None);
    assert_eq!(queue.pop(after(5)), Some("a"));
    assert_eq!(queue.pop(after(60)), None);
}

#[test]
fn a_key_that_is_woken_at_work_comes_back_when_it_is_done() {
    let mut queue = Queue::default();
    queue.add("a", start());
    assert_eq!(queue.pop(start()), Some("a"));
    queue.add("a", start());
    assert_eq!(queue.pop(start()), None);
    queue.done("a", Some(after(300)));
    assert_eq!(queue.pop(start()), Some("a"));
}

#[tokio::test]
async fn a_key_that_fails_waits_longer_each_time_until_it_succeeds() {
    let (clock, stop) = (JumpingClock::new(), CancellationToken::new());
    let times = RefCell::new(Vec::new());
    let wakes = stream::iter(["a"]).chain(stream::pending());
    run_keyed(
        "test",
        &clock,
        wakes,
        async |_| {
            times.borrow_mut().push(clock.now());
            match times.borrow().len() {
                1..=3 => Next::Failed,
                4 => Next::At(clock.now()),
                5 => Next::Failed,
                _ => {
                    stop.cancel();
                    Next::OnChange
                }
            }
        },
        &stop,
    )
    .await;
    let times = times.into_inner();
    let waits: Vec<f64> =
        times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    assert!(waits[1] > waits[0] && waits[2] > waits[1], "{waits:?}");
    assert!((waits[3] - 1.0).abs() < 0.01, "coming back at once is slowed down: {waits:?}");
    assert!((waits[4] - waits[0]).abs() < 0.01, "a success resets the wait: {waits:?}");
}

#[tokio::test]
async fn a_key_is_never_worked_on_twice_at_a_time_and_not_too_many_are() {
    let (clock, stop) = (JumpingClock::new(), CancellationToken::new());
    let keys: Vec<String> = (0..40).map(|n| format!("key-{}", n % 20)).collect();
    let at_work = RefCell::new(BTreeSet::new());
    let (most, done) = (Cell::new(0), Cell::new(0));
    let wakes = stream::iter(keys).chain(stream::pending());
    run_keyed(
        "test",
        &clock,
        wakes,
        async |key: String| {
            assert!(at_work.borrow_mut().insert(key.clone()), "{key} is at work already");
            most.set(most.get().max(at_work.borrow().len()));
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            at_work.borrow_mut().remove(&key);
            done.set(done.get() + 1);
            if done.get() == 20 {
                stop.cancel();
            }
            Next::OnChange
        },
        &stop,
    )
    .await;
    assert_eq!(most.get(), CONCURRENCY);
    assert!(at_work.borrow().is_empty(), "what is at work is finished");
}

#[tokio::test]
async fn a_panic_in_one_reconciliation_is_a_failure_of_its_key_only() {
    let (clock, stop) = (JumpingClock::new(), CancellationToken::new());
    let seen = RefCell::new(Vec::new());
    let wakes = stream::iter(["bad", "good"]).chain(stream::pending());
    run_keyed(
        "test",
        &clock,
        wakes,
        async |key| {
            seen.borrow_mut().push(key);
            assert!(key == "good" || seen.borrow().len() > 2, "the first try of the bad one");
            if seen.borrow().len() > 2 {
                stop.cancel();
            }
            Next::OnChange
        },
        &stop,
    )
    .await;
    assert_eq!(seen.into_inner(), ["bad", "good", "bad"]);
}
