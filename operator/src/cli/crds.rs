//! `tollkeeper crds`: the definitions of the kinds, as in `crds/`.

use clap::Args;

use super::{Failure, print};

/// Print the CustomResourceDefinitions as YAML, for `kubectl apply -f -`.
#[derive(Debug, Args)]
pub(crate) struct Crds {}

impl Crds {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let documents = tollkeeper_api::crds_yaml().map_err(Failure::new)?;
        for (_, yaml) in documents {
            print::text(format_args!("---\n{yaml}"))?;
        }
        Ok(())
    }
}
