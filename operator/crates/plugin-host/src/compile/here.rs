//! Compiling in this process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::sync::oneshot;
use tollkeeper_core::{plugin::PluginFailure, quote::clip};
use wasmtime::{Engine, component::Component};

use crate::limits::MAX_MESSAGE;

/// Stack of the thread that compiles: Cranelift recurses over a vendor's code.
pub(super) const STACK: usize = 16 << 20;

/// Runs a compilation on a thread of its own and waits without holding up the caller's.
pub(super) async fn on_a_large_stack<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, PluginFailure> + Send + 'static,
) -> Result<R, PluginFailure> {
    let (reply, result) = oneshot::channel();
    thread::Builder::new()
        .name("plugin-compiler".into())
        .stack_size(STACK)
        .spawn(move || {
            // Nobody listens if the load was given up.
            let _ = reply.send(work());
        })
        .map_err(|error| PluginFailure::Internal(format!("no thread to compile it on: {error}")))?;
    result.await.map_err(|_| panicked())?
}

/// Compiles admitted bytes.
pub(super) fn component(engine: &Engine, bytes: &[u8]) -> Result<Component, PluginFailure> {
    // Some valid components make the compiler panic; a vendor's bytes must not end the process. Nothing of the
    // compiler's state is used after a panic, so it is safe to carry on.
    match catch_unwind(AssertUnwindSafe(|| Component::from_binary(engine, bytes))) {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(error)) => Err(PluginFailure::InvalidComponent(clip(&format!("{error:#}"), MAX_MESSAGE))),
        Err(_) => Err(panicked()),
    }
}

pub(super) fn panicked() -> PluginFailure {
    PluginFailure::InvalidComponent("the compiler panicked on it".into())
}
