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
};

use wasmtime::{Engine, EngineWeak};

use crate::limits::EPOCH;

/// Epochs without a call after which the thread sleeps.
const AWAKE: u32 = 10;

#[derive(Default)]
struct Shared {
    running: AtomicU64,
    begun: AtomicU64,
    asleep: AtomicBool,
    closed: AtomicBool,
}

/// Ends with its owner.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (theirs, engine) = (Arc::clone(&shared), engine.weak());
        let thread =
            thread::Builder::new().name("plugin-epochs".into()).spawn(move || tick(&theirs, &engine))?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Time runs until the guard is dropped.
    pub(crate) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        self.shared.begun.fetch_add(1, SeqCst);
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
    let (mut idle, mut begun) = (0, 0);
    while !shared.closed.load(SeqCst) {
        let now_begun = shared.begun.load(SeqCst);
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
        thread::sleep(EPOCH);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

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
