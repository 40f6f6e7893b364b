//! From a vendor's bytes to machine code. The only place that compiles, so that it can move into a process of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    thread,
};

use tokio::sync::oneshot;
use tollkeeper_core::{identity::Digest, plugin::PluginFailure};
use wasmtime::{Engine, component::Component};

use crate::{
    failure::clip,
    limits::{MAX_COMPONENT, MAX_MESSAGE},
};

/// Stack of the thread that compiles: Cranelift recurses over a vendor's code.
const STACK: usize = 16 << 20;

/// One compilation at a time: each may take 25 times the component's size in memory.
static COMPILING: Mutex<()> = Mutex::new(());

/// Checks what can be checked without compiling: the digest first, so that other bytes are not even parsed.
pub(crate) fn admit(bytes: &[u8], named: &Digest) -> Result<(), PluginFailure> {
    let found = Digest::of(bytes);
    if found != *named {
        return Err(PluginFailure::DigestMismatch { named: named.clone(), found });
    }
    if bytes.len() > MAX_COMPONENT {
        return Err(PluginFailure::TooLarge(format!(
            "the component has {} bytes, more than {MAX_COMPONENT}",
            bytes.len()
        )));
    }
    // The preamble: magic, version, layer (0 for core modules, 1 for components).
    match (bytes.get(..4), bytes.get(6..8)) {
        (Some(b"\0asm"), Some([0, 0])) => Err(PluginFailure::InvalidComponent(
            "it is a core module; make a component of it with `wasm-tools component new meter.wasm -o component.wasm`"
                .into(),
        )),
        (Some(b"\0asm"), Some(_)) => Ok(()),
        _ => Err(PluginFailure::InvalidComponent("it is not WebAssembly at all".into())),
    }
}

/// Runs a compilation on a thread of its own and waits without holding up the caller's.
pub(crate) async fn apart<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, PluginFailure> + Send + 'static,
) -> Result<R, PluginFailure> {
    let (reply, result) = oneshot::channel();
    thread::Builder::new()
        .name("plugin-compiler".into())
        .stack_size(STACK)
        .spawn(move || {
            let _one = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody listens if the load was given up.
            let _ = reply.send(work());
        })
        .map_err(|error| PluginFailure::Internal(format!("no thread to compile it on: {error}")))?;
    result.await.map_err(|_| panicked())?
}

/// Compiles admitted bytes.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, PluginFailure> {
    // Some valid components make the compiler panic; a vendor's bytes must not end the operator. Nothing of the
    // compiler's state is used after a panic, so it is safe to carry on.
    match catch_unwind(AssertUnwindSafe(|| Component::from_binary(engine, bytes))) {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(error)) => Err(PluginFailure::InvalidComponent(clip(&format!("{error:#}"), MAX_MESSAGE))),
        Err(_) => Err(panicked()),
    }
}

fn panicked() -> PluginFailure {
    PluginFailure::InvalidComponent("the compiler panicked on it".into())
}
