//! Compiles apart: finds the machine code in the cache, or has it made, then maps it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;
use tollkeeper_core::{identity::Digest, plugin::PluginFailure, quote::clip};
use wasmtime::{Engine, component::Component};

use super::{
    Apart, Code,
    artefact::EngineHash,
    cache::{Cache, Whole},
    map::map,
    original::{Attic, Original},
    process,
};
use crate::{host::HostError, limits::MAX_MESSAGE, usage::CompilerUsage};

pub(crate) struct Workshop {
    apart: Apart,
    cache: Mutex<Cache>,
    attic: Attic,
    usage: Mutex<CompilerUsage>,
}

impl Workshop {
    pub(super) fn open(apart: Apart, engine: &Engine) -> Result<Self, HostError> {
        let cache = Cache::open(&apart.cache, apart.cache_size, EngineHash::of(engine)).map_err(|error| {
            HostError::new(format!("the cache of compiled plugins in {}: {error}", apart.cache.display()))
        })?;
        let (attic, usage) = Default::default();
        Ok(Self { apart, cache: Mutex::new(cache), attic, usage })
    }

    /// The machine code of admitted bytes, compiled only if it is not there.
    pub(super) async fn component(
        self: Arc<Self>,
        engine: &Engine,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<(Code, Component), PluginFailure> {
        let found = self.cache().find(digest);
        let mapped = found.and_then(|whole| map(engine, &whole).ok().map(|component| (whole, component)));
        if let Some((whole, component)) = mapped {
            self.books().found += 1;
            return Ok((Code::File(whole, self.original(bytes, digest)), component));
        }
        // There is none, or another processor's: made anew.
        self.cache().discard(digest);
        self.books().compiled += 1;
        let whole = Arc::clone(&self).make(bytes, digest).await?;
        let mapped = map(engine, &whole).map_err(|error| {
            self.cache().discard(digest);
            let folder = self.apart.cache.display();
            PluginFailure::Internal(clip(
                &format!("its machine code cannot be mapped from {folder}: {error:#}"),
                MAX_MESSAGE,
            ))
        });
        Ok((Code::File(whole, self.original(bytes, digest)), mapped?))
    }

    /// A disk that is full is no reason not to use what is compiled.
    fn original(&self, bytes: &[u8], digest: &Digest) -> Option<Original> {
        let kept = self.attic.keep(&self.apart.cache, bytes, digest);
        kept.inspect_err(|error| {
            tracing::warn!(plugin = %digest, %error, "its component is not kept: if somebody writes to its machine code, it takes a restart");
        })
        .ok()
    }

    async fn make(self: Arc<Self>, bytes: &[u8], digest: &Digest) -> Result<Whole, PluginFailure> {
        let blank = self.cache().blank().map_err(|error| self.unkept(&error))?;
        process::compile(&self.apart, bytes, &blank).await?;
        let digest = digest.clone();
        // Reading, hashing and syncing some megabytes is nothing for the thread that serves everyone.
        let kept = tokio::task::spawn_blocking(move || self.keep(&digest, blank)).await;
        kept.unwrap_or_else(|_| Err(PluginFailure::Internal("keeping its machine code panicked".into())))
    }

    fn keep(&self, digest: &Digest, finished: NamedTempFile) -> Result<Whole, PluginFailure> {
        let length = finished.as_file().metadata().map_err(|error| self.unkept(&error))?.len();
        let most = self.apart.cache_size;
        if length > most {
            return Err(PluginFailure::TooLarge(format!(
                "its machine code has {length} bytes, more than the cache of {most}"
            )));
        }
        self.cache().keep(digest, finished).map_err(|error| self.unkept(&error))
    }

    fn unkept(&self, error: &std::io::Error) -> PluginFailure {
        let folder = self.apart.cache.display();
        PluginFailure::Internal(format!("its machine code cannot be kept in {folder}: {error}"))
    }

    /// What it has come to since the start.
    pub(super) fn usage(&self) -> CompilerUsage {
        CompilerUsage { cached: self.cache().bytes(), ..*self.books() }
    }

    fn books(&self) -> MutexGuard<'_, CompilerUsage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
