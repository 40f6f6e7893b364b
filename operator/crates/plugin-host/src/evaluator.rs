//! Where calls run: one at a time, on a thread of the host's own or on the caller's.
//!
//! More threads would be slower: creating and dropping instances contends for the process's page tables.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    thread,
};

use tokio::sync::{mpsc, oneshot};
use tollkeeper_core::plugin::PluginFailure;

/// Calls that wait. Sweeps over many bindings wait in their own tasks beyond that, which bounds the inputs held here.
const QUEUE: usize = 64;

/// Stack of the evaluator: the sandbox's share, and as much again several times for the host's own frames.
const STACK: usize = 4 << 20;

type Job = Box<dyn FnOnce() + Send>;

pub(crate) enum Evaluator {
    Thread(mpsc::Sender<Job>),
    Inline(Mutex<()>),
}

impl Evaluator {
    /// A thread that ends when its evaluator is dropped.
    pub(crate) fn thread() -> io::Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new().name("plugin-evaluator".into()).stack_size(STACK).spawn(move || {
            while let Some(job) = jobs.blocking_recv() {
                job();
            }
        })?;
        Ok(Self::Thread(sender))
    }

    pub(crate) fn inline() -> Self {
        Self::Inline(Mutex::new(()))
    }

    /// Runs a call and waits for it. If the waiting is given up before its turn, it never runs.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, PluginFailure> + Send + 'static,
    ) -> Result<R, PluginFailure> {
        match self {
            Self::Inline(turn) => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                guarded(work)
            }
            Self::Thread(jobs) => {
                let (reply, result) = oneshot::channel();
                let job = Box::new(move || {
                    if !reply.is_closed() {
                        // Nobody listens any more: the caller has given up, and the result with it.
                        let _ = reply.send(guarded(work));
                    }
                });
                jobs.send(job).await.map_err(|_| gone())?;
                result.await.map_err(|_| gone())?
            }
        }
    }
}

/// A panic below is a bug of the host or of wasmtime. The call's store is dropped with it and the shared parts are
/// immutable, so the next call is safe.
fn guarded<R>(work: impl FnOnce() -> Result<R, PluginFailure>) -> Result<R, PluginFailure> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(PluginFailure::Internal("the plugin host panicked during the call".into())))
}

fn gone() -> PluginFailure {
    PluginFailure::Internal("the evaluator of plugins has ended".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_and_the_next_call_runs() {
        for evaluator in [Evaluator::thread().unwrap(), Evaluator::inline()] {
            let panicked = evaluator.run(|| -> Result<(), _> { panic!("on purpose") }).await;
            assert!(matches!(panicked, Err(PluginFailure::Internal(_))));
            assert_eq!(evaluator.run(|| Ok(7)).await, Ok(7));
        }
    }
}
