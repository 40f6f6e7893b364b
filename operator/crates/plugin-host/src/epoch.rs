//! The clock that stops calls: a thread that counts epochs while calls are running and sleeps otherwise.
//!
//! It stays awake a little longer than the last call, so that a dense series of calls does not pay for waking it every time.
#![allow(
    clippy::disallowed_methods,
    reason = "the wall-clock limit of a plugin is real, whatever the clock says"
)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use wasmtime::{Engine, EngineWeak};

use crate::limits::EPOCH;

/// Epochs without a call after which the thread sleeps.
const AWAKE: u32 = 20;

/// Epochs that one wake-up counts at most. A thread that wakes late on a busy machine makes up for it; where the whole process
/// stood still (a container without processor time, a virtual machine that was moved), plugins stood still too and are not
/// to blame.
const MOST_AT_ONCE: u32 = 4;

struct Shared {
    origin: Instant,
    running: AtomicU64,
    /// When the latest call began, in nanoseconds since the origin.
    begun: AtomicU64,
    asleep: AtomicBool,
    closed: AtomicBool,
}

impl Shared {
    fn new() -> Self {
        let (running, begun, asleep, closed) = Default::default();
        Self { origin: Instant::now(), running, begun, asleep, closed }
    }

    fn begun(&self) -> Instant {
        self.origin + Duration::from_nanos(self.begun.load(SeqCst))
    }
}

/// Ends with its owner.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let (theirs, engine) = (Arc::clone(&shared), engine.weak());
        let thread =
            thread::Builder::new().name("plugin-epochs".into()).spawn(move || tick(&theirs, &engine))?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Time runs until the guard is dropped. Calls come one after the other.
    pub(crate) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        let now = u64::try_from(self.shared.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.begun.store(now, SeqCst);
        if self.shared.asleep.swap(false, SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.closed.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// A call is running.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

fn tick(shared: &Shared, engine: &EngineWeak) {
    let (mut idle, mut begun, mut counted) = (0, shared.begun(), Instant::now());
    while !shared.closed.load(SeqCst) {
        let now_begun = shared.begun();
        idle = if shared.running.load(SeqCst) == 0 && now_begun == begun { idle + 1 } else { 0 };
        begun = now_begun;
        if idle >= AWAKE {
            // Either this thread sees the call, or the call sees that it sleeps: both orders are sequentially consistent.
            shared.asleep.store(true, SeqCst);
            if shared.running.load(SeqCst) == 0 && !shared.closed.load(SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, SeqCst);
            idle = 0;
            continue;
        }
        thread::sleep((counted + EPOCH).saturating_duration_since(Instant::now()));
        let Some(engine) = engine.upgrade() else { return };
        // What passed before a call began is not the call's.
        let (epochs, until) = passed(counted.max(shared.begun()), Instant::now());
        (0..epochs).for_each(|_| engine.increment_epoch());
        counted = until;
    }
}

/// The epochs that ended since the last one was counted, and when the last of them did. Late wake-ups do not add up.
fn passed(counted: Instant, now: Instant) -> (u32, Instant) {
    let epochs = now.saturating_duration_since(counted).as_nanos() / EPOCH.as_nanos();
    match u32::try_from(epochs) {
        Ok(epochs) if epochs <= MOST_AT_ONCE => (epochs, counted + EPOCH * epochs),
        _ => (MOST_AT_ONCE, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::compile_and_run;

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(20), "{what} never happened");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_late_wake_up_is_made_up_for_and_a_standstill_is_not() {
        let start = Instant::now();
        let (mut counted, mut epochs) = (start, 0);
        for woken in [6, 11, 19, 20, 38].map(Duration::from_millis) {
            let (more, until) = passed(counted, start + woken);
            (counted, epochs) = (until, epochs + more);
        }
        assert_eq!((epochs, counted), (7, start + Duration::from_millis(35)));
        let later = start + Duration::from_secs(9);
        assert_eq!(passed(counted, later), (MOST_AT_ONCE, later));
    }

    #[test]
    fn the_clock_sleeps_when_nothing_runs_and_wakes_for_a_call() {
        let engine = compile_and_run().unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        for _ in 0..3 {
            eventually("sleep", || ticker.shared.asleep.load(SeqCst));
            let running = ticker.running();
            thread::sleep(EPOCH * (AWAKE + 5));
            assert!(!ticker.shared.asleep.load(SeqCst), "it slept during a call");
            drop(running);
        }
    }
}
