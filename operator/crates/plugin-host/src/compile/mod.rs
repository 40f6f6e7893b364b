//! From a vendor's bytes to machine code, one component at a time and none twice.
//!
//! An operator compiles in a process of its own, which may crash or starve, and maps what comes out of it. A simulation,
//! which guards nothing, compiles where it is.

mod admission;
mod artefact;
mod cache;
mod child;
mod code;
mod here;
mod map;
mod original;
mod process;
mod workshop;

use std::{path::PathBuf, sync::Arc};

use tollkeeper_core::{identity::Digest, plugin::PluginFailure};
use wasmtime::{Engine, component::Component};

use crate::{engine, host::HostError, usage::CompilerUsage};
pub(crate) use admission::admit;
pub use child::compile_standard_input;
pub(crate) use code::Code;
use workshop::Workshop;

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compilation {
    /// In this process, for as long as it lives.
    Here,
    /// In a process of its own, and kept in a folder for the next start.
    Apart(Apart),
}

/// How to compile in a process of its own.
#[derive(Clone, Debug)]
pub struct Apart {
    /// The program that compiles: it calls [`compile_standard_input`].
    pub program: PathBuf,
    /// Its arguments; `--memory BYTES` is added.
    pub arguments: Vec<String>,
    /// Bytes of memory that compiling may take.
    pub memory: u64,
    /// Where machine code is kept. A folder inside of it is made, which nobody else may look into.
    pub cache: PathBuf,
    /// Bytes that may be kept there.
    pub cache_size: u64,
}

/// Compiles components for one engine.
pub(crate) enum Compiler {
    Here,
    Apart(Arc<Workshop>),
}

impl Compiler {
    /// The compiler, and the engine that runs what it makes.
    pub(crate) fn start(compilation: Compilation) -> Result<(Self, Engine), HostError> {
        let stopped = |error: wasmtime::Error| HostError::new(format!("{error:#}"));
        match compilation {
            Compilation::Here => Ok((Self::Here, engine::compile_and_run().map_err(stopped)?)),
            Compilation::Apart(apart) => {
                let engine = engine::only_run().map_err(stopped)?;
                let workshop = Workshop::open(apart, &engine)?;
                Ok((Self::Apart(Arc::new(workshop)), engine))
            }
        }
    }

    /// What it has come to since the start, if it works apart.
    pub(crate) fn usage(&self) -> Option<CompilerUsage> {
        match self {
            Self::Here => None,
            Self::Apart(workshop) => Some(workshop.usage()),
        }
    }

    /// The machine code of admitted bytes, and what is mapped of it. Callers take turns.
    pub(crate) async fn compile(
        &self,
        engine: &Engine,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<(Code, Component), PluginFailure> {
        match self {
            Self::Here => {
                let (engine, bytes) = (engine.clone(), bytes.to_vec());
                let component = here::on_a_large_stack(move || here::component(&engine, &bytes)).await?;
                Ok((Code::Here(component.clone()), component))
            }
            Self::Apart(workshop) => Arc::clone(workshop).component(engine, bytes, digest).await,
        }
    }
}
