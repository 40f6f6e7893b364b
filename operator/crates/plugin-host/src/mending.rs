//! Machine code that somebody has written to is made again from its component, and nobody else's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tollkeeper_core::plugin::PluginFailure;

use crate::{host::House, plugin::Prepared};

/// After a failure: every binding calls its plugin at every tick, and compiling takes seconds of everybody's turn.
const PAUSE: Duration = Duration::from_mins(1);

/// The last failure, and when it was.
#[derive(Default)]
pub(crate) struct Mending(Mutex<Option<(Instant, PluginFailure)>>);

impl Mending {
    /// Why it is not to be tried at the moment.
    fn rests(&self) -> Option<PluginFailure> {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE).map(|(_, failure)| failure.clone())
    }

    #[allow(clippy::disallowed_methods, reason = "it spares the machine, whatever the clock says")]
    fn failed(&self, failure: &PluginFailure) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), failure.clone()));
    }
}

/// Sees to it that the machine code of a plugin is what was compiled. Nothing is done if it is, which costs one look at its
/// file.
pub(crate) async fn mend(house: &Arc<House>, prepared: &Prepared) -> Result<(), PluginFailure> {
    if prepared.code().damaged().is_none() {
        return Ok(());
    }
    let _turn = house.compiling.lock().await;
    let code = prepared.code();
    // Another call may have had it made while this one waited.
    let Some(file) = code.damaged() else { return Ok(()) };
    if let Some(failure) = prepared.mending.rests() {
        return Err(failure);
    }
    let (plugin, file) = (prepared.digest(), file.display());
    tracing::warn!(%plugin, %file, "the machine code of a plugin was written to while it was in use; it is not used any more");
    let made = async {
        let damaged = Arc::clone(&code);
        // Reading and hashing some megabytes is nothing for the thread that serves everyone.
        let component = tokio::task::spawn_blocking(move || damaged.original()).await;
        let component = component.map_err(|_| PluginFailure::Internal("reading it panicked".into()))??;
        house.compiler.compile(&house.engine, &component, plugin).await
    };
    let replaced = made.await.and_then(|(code, component)| prepared.replace(house, code, &component));
    replaced.inspect_err(|failure| prepared.mending.failed(failure))
}
