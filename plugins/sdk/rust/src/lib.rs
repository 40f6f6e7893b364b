//! Write meters for Tollkeeper: WebAssembly plugins that turn a product's declared inputs into readings.
//!
//! Implement [`Meter`] for a type and [`export!`] it. Inputs come as [`Inputs`], amounts are exact [`Amount`]s, and what was
//! measured goes into an [`Outcome`]. A meter has no clock, randomness, network, files or environment: the same inputs,
//! configuration and state give the same outcome on every machine, so a bill can be checked by running it again.
//!
//! Everything works in ordinary `cargo test`, too: [`Inputs`] can be made by hand, and the log goes to standard error.

mod amount;
mod inputs;
pub mod log;
mod outcome;

use serde::{Deserialize, de::DeserializeOwned};

pub use amount::Amount;
pub use inputs::{Data, Inputs, Object, Sample, Tag, object, sample};
pub use outcome::{Failure, Outcome};

/// The interface as generated from `wit/meter.wit`; [`export!`] joins it to a [`Meter`].
#[doc(hidden)]
pub mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({
        path: "wit",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "tollkeeper_meter::bindings",
    });
}

/// Turns inputs into readings.
pub trait Meter {
    /// `spec.meter.config` of the product, read as JSON. A product without one gets the default. [`NoConfig`] takes
    /// none.
    type Config: DeserializeOwned + Default;

    /// The dimensions that [`Meter::measure`] may report, as AWS Marketplace knows them.
    const DIMENSIONS: &'static [&'static str];

    /// The inputs that it asks for, by the names that a product must give them.
    const INPUTS: &'static [&'static str];

    /// JSON schema of the configuration, for people and tools.
    const CONFIG_SCHEMA: &'static str = r#"{"type": "object"}"#;

    /// Refuses a configuration that can be read but makes no sense; says why in one sentence.
    fn check(_config: &Self::Config) -> Result<(), String> {
        Ok(())
    }

    /// Measures one tick. Nothing outlives the call but [`Outcome::state`].
    fn measure(tick: &Tick<Self::Config>, inputs: &Inputs) -> Result<Outcome, Failure>;
}

/// The configuration of a meter that takes none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// What a meter is told about a tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tick<C> {
    /// The moment, such as `2026-11-21T14:58:00Z`: RFC 3339, always UTC.
    pub at: String,
    /// Seconds to the next tick.
    pub seconds: u32,
    /// The product's name.
    pub product: String,
    /// The product's configuration.
    pub config: C,
    /// What the last successful tick left with [`Outcome::state`]; empty at first.
    pub state: Vec<u8>,
}

impl<C> Tick<C> {
    /// The hour of the tick, such as `2026-11-21T14`.
    pub fn hour(&self) -> &str {
        self.at.get(..13).unwrap_or(&self.at)
    }

    /// The day of the tick, such as `2026-11-21`.
    pub fn day(&self) -> &str {
        self.at.get(..10).unwrap_or(&self.at)
    }

    /// What [`Outcome::remember`] left; the default at first.
    pub fn recall<S: DeserializeOwned + Default>(&self) -> Result<S, Failure> {
        if self.state.is_empty() {
            return Ok(S::default());
        }
        serde_json::from_slice(&self.state)
            .map_err(|error| Failure::Internal(format!("the state of the last tick cannot be read: {error}")))
    }
}

/// Makes a component of a type that implements [`Meter`]. Once a crate; name and version are those of the crate.
#[macro_export]
macro_rules! export {
    ($meter:ty) => {
        const _: () = {
            use $crate::bindings::exports::tollkeeper::meter as exported;

            struct Component;

            impl exported::meter::Guest for Component {
                fn measure(
                    tick: exported::meter::Tick,
                    inputs: Vec<exported::meter::Input>,
                ) -> Result<exported::meter::Outcome, exported::meter::Failure> {
                    $crate::exported::measure::<$meter>(tick, inputs)
                }
            }

            impl exported::describe::Guest for Component {
                fn get_manifest() -> exported::describe::Manifest {
                    $crate::exported::manifest::<$meter>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }

                fn validate_config(config: String) -> Result<(), String> {
                    $crate::exported::validate::<$meter>(&config)
                }
            }

            // A test has no component; the compiler should not call the meter dead.
            #[cfg(not(target_family = "wasm"))]
            #[allow(dead_code)]
            fn exported() {
                let _ = (Component, $crate::exported::measure::<$meter>);
            }

            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

/// What [`export!`] calls.
#[doc(hidden)]
pub mod exported {
    use super::{
        Inputs, Meter, Tick,
        bindings::exports::tollkeeper::meter::{
            describe::Manifest,
            meter::{self, Failure, Input, Outcome},
        },
        log,
    };

    /// An absent configuration is the default one.
    pub fn parse<M: Meter>(config: &str) -> Result<M::Config, String> {
        let config = match config.trim() {
            "" | "null" => M::Config::default(),
            text => serde_json::from_str(text).map_err(|error| error.to_string())?,
        };
        M::check(&config).map(|()| config)
    }

    pub fn measure<M: Meter>(tick: meter::Tick, inputs: Vec<Input>) -> Result<Outcome, Failure> {
        log::panics();
        let tick = Tick {
            config: parse::<M>(&tick.config).map_err(Failure::InvalidConfig)?,
            at: tick.at,
            seconds: tick.seconds,
            product: tick.product,
            state: tick.state,
        };
        M::measure(&tick, &Inputs::from(inputs)).map(Into::into)
    }

    pub fn manifest<M: Meter>(name: &str, version: &str) -> Manifest {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        Manifest {
            name: name.into(),
            version: version.into(),
            dimensions: owned(M::DIMENSIONS),
            inputs: owned(M::INPUTS),
            config_schema: M::CONFIG_SCHEMA.into(),
        }
    }

    pub fn validate<M: Meter>(config: &str) -> Result<(), String> {
        log::panics();
        parse::<M>(config).map(|_| ())
    }
}
