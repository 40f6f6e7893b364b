//! The meter of VecDB: how many pods run, how much CPU they ask for, how many gigabytes they have scanned.
//!
//! This file joins the generated interface to the logic in `measure`, which is ordinary Rust and tested as such.

mod amount;
mod config;
mod measure;

mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({ path: "../../wit", world: "plugin" });
}

use bindings::{
    exports::tollkeeper::meter::{
        describe::{Guest as Describe, Manifest},
        meter::{Failure, Guest as Meter, Input, Outcome, Tick},
    },
    tollkeeper::meter::log::{Level, write},
};

use crate::{
    config::Config,
    measure::{INPUTS, measure},
};

struct Vecdb;

impl Meter for Vecdb {
    fn measure(tick: Tick, inputs: Vec<Input>) -> Result<Outcome, Failure> {
        log_panics();
        let config = Config::parse(&tick.config).map_err(Failure::InvalidConfig)?;
        let (readings, remarks) = measure(&config, &inputs)?;
        for remark in remarks {
            write(Level::Warn, &remark);
        }
        // Everything is cumulative or a gauge, so nothing need be remembered.
        Ok(Outcome { readings, state: Vec::new() })
    }
}

impl Describe for Vecdb {
    fn get_manifest() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            dimensions: config::DIMENSIONS.map(|dimension| dimension.name().into()).into(),
            inputs: INPUTS.map(Into::into).into(),
            config_schema: config::SCHEMA.into(),
        }
    }

    fn validate_config(config: String) -> Result<(), String> {
        log_panics();
        Config::parse(&config).map(|_| ())
    }
}

/// A panic traps without a word in WebAssembly; the log gets the word.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string())));
}

#[cfg(target_family = "wasm")]
bindings::export!(Vecdb with_types_in bindings);
