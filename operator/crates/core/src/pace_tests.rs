use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;

/// A clock that stands still until the test moves it.
struct Still {
    now: Mutex<Timestamp>,
    awaited: Mutex<BTreeSet<Timestamp>>,
}

impl Still {
    fn new() -> Arc<Self> {
        let now: Timestamp = "2026-11-21T15:05:00Z".parse().unwrap();
        Arc::new(Self { now: Mutex::new(now), awaited: Mutex::default() })
    }

    fn set(&self, moment: Timestamp) {
        *self.now.lock().unwrap() = moment;
    }

    /// On to the next moment that somebody awaits, or `late` after it.
    fn wake_next(&self, late: SignedDuration) -> bool {
        let now = self.now();
        let next = self.awaited.lock().unwrap().iter().find(|moment| **moment > now).copied();
        self.awaited.lock().unwrap().clear();
        next.is_some_and(|next| {
            self.set(next + late);
            true
        })
    }
}

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        poll_fn(|_| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            self.awaited.lock().unwrap().insert(moment);
            Poll::Pending
        })
        .await;
    }
}

struct Sender<'a> {
    asks_at: Timestamp,
    gives_up_at: Option<Timestamp>,
    turn: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    sent_at: Option<Timestamp>,
}

/// Lets senders ask, wait and give up until nothing is left to happen; `late(n)` is how late the n-th wake-up comes.
fn run(clock: &Still, pace: &Pace, plan: &[(i64, Option<i64>)], late: &[i64]) -> Vec<Option<Timestamp>> {
    let start = clock.now();
    let at = |millis: i64| start + SignedDuration::from_millis(millis);
    let mut senders: Vec<_> = plan
        .iter()
        .map(|(asks, gives_up)| Sender {
            asks_at: at(*asks),
            gives_up_at: gives_up.map(|patience| at(asks + patience)),
            turn: None,
            sent_at: None,
        })
        .collect();
    let mut context = Context::from_waker(Waker::noop());
    let mut asked = vec![false; senders.len()];
    for round in 0.. {
        assert!(round < 100_000, "the senders never come to an end");
        let now = clock.now();
        for (index, sender) in senders.iter_mut().enumerate() {
            if !asked[index] && sender.asks_at <= now {
                asked[index] = true;
                sender.turn = Some(Box::pin(pace.turn()));
            }
            if sender.gives_up_at.is_some_and(|moment| moment <= now) {
                sender.turn = None;
            }
            if let Some(turn) = &mut sender.turn
                && turn.as_mut().poll(&mut context).is_ready()
            {
                sender.turn = None;
                sender.sent_at = Some(now);
            }
        }
        for (index, sender) in senders.iter().enumerate() {
            if !asked[index] {
                clock.awaited.lock().unwrap().insert(sender.asks_at);
            }
        }
        let late = late.get(round % late.len().max(1)).copied().unwrap_or(0);
        if !clock.wake_next(SignedDuration::from_millis(late)) {
            break;
        }
    }
    senders.iter().map(|sender| sender.sent_at).collect()
}

/// The most sends within one second, both ends counted.
fn most_in_a_second(sends: &[Timestamp]) -> usize {
    let within = |from: Timestamp| {
        sends.iter().filter(|send| **send >= from && **send <= from + SignedDuration::from_secs(1)).count()
    };
    sends.iter().map(|send| within(*send)).max().unwrap_or(0)
}

#[test]
fn a_first_call_goes_at_once_when_the_process_is_a_spacing_old() {
    let clock = Still::new();
    let pace = Pace::meter_usage(clock.clone());
    let start = clock.now();
    let sends = run(&clock, &pace, &[(200, None)], &[]);
    assert_eq!(sends, [Some(start + SignedDuration::from_millis(200))]);
}

#[test]
fn a_process_and_its_successor_keep_the_quota_together() {
    let clock = Still::new();
    let mut sends = Vec::new();
    for _ in 0..3 {
        let pace = Pace::meter_usage(clock.clone());
        sends.extend(run(&clock, &pace, &[(0, None); 6], &[]).into_iter().flatten());
    }
    assert_eq!((sends.len(), most_in_a_second(&sends)), (18, 9));
}

#[test]
fn a_call_that_leaves_after_its_turn_keeps_the_next_turn_away() {
    let clock = Still::new();
    let pace = Pace::meter_usage(clock.clone());
    run(&clock, &pace, &[(0, None)], &[]);
    clock.set(clock.now() + SignedDuration::from_millis(100));
    pace.called();
    let called = clock.now();
    let sends = run(&clock, &pace, &[(0, None)], &[]);
    assert!(sends[0].unwrap().duration_since(called) > SignedDuration::from_millis(111));
}

#[test]
fn two_hundred_dimensions_take_their_turns_in_order_and_lose_no_time() {
    let clock = Still::new();
    let pace = Pace::meter_usage(clock.clone());
    let start = clock.now();
    let sends: Vec<_> = run(&clock, &pace, &[(0, None); 200], &[]).into_iter().flatten().collect();
    assert_eq!(sends.len(), 200);
    assert!(sends.is_sorted());
    assert_eq!(most_in_a_second(&sends), 9);
    assert!(sends[199].duration_since(start) < SignedDuration::from_secs(23), "200 calls need 22.1 s");
}

#[test]
fn a_clock_that_is_set_back_stops_nobody() {
    let clock = Still::new();
    let pace = Pace::meter_usage(clock.clone());
    run(&clock, &pace, &[(0, None)], &[]);
    clock.set(clock.now() - SignedDuration::from_hours(1));
    let start = clock.now();
    let sends = run(&clock, &pace, &[(0, None)], &[]);
    assert!(sends[0].unwrap().duration_since(start) < SignedDuration::from_secs(1));
}

#[test]
fn who_gives_up_while_first_in_line_holds_up_nobody() {
    let clock = Still::new();
    let pace = Pace::meter_usage(clock.clone());
    let sends = run(&clock, &pace, &[(0, None), (0, Some(50)), (0, None)], &[]);
    assert_eq!(sends.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn a_quota_of_one_is_still_one() {
    let clock = Still::new();
    let pace = Pace::new(clock.clone(), 1);
    let sends: Vec<_> = run(&clock, &pace, &[(0, None); 3], &[]).into_iter().flatten().collect();
    assert_eq!((sends.len(), most_in_a_second(&sends)), (3, 1));
}

proptest! {
    #[test]
    fn no_second_ever_holds_more_than_nine_calls_and_everybody_patient_gets_a_turn(
        plan in prop::collection::vec((0_i64..5_000, prop::option::weighted(0.2, 0_i64..3_000)), 1..60),
        late in prop::collection::vec(prop_oneof![4 => Just(0), 2 => 0_i64..40, 1 => 0_i64..4_000], 1..20),
    ) {
        let clock = Still::new();
        let pace = Pace::meter_usage(clock.clone());
        let outcome = run(&clock, &pace, &plan, &late);
        let sends: Vec<_> = outcome.iter().flatten().copied().collect();
        prop_assert!(most_in_a_second(&sends) <= 9, "{sends:?}");
        for ((_, gives_up), sent) in plan.iter().zip(&outcome) {
            prop_assert!(gives_up.is_some() || sent.is_some());
        }
        prop_assert!(pace.line().waiting.is_empty());
    }
}
