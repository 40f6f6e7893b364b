//! `tollkeeper report export`: the ledger as a file that anybody can verify.

use clap::{Args, ValueEnum};
use tollkeeper_core::proof;

use super::{block_on, place::Place};
use crate::{
    cli::{Failure, print},
    clock, settings,
};

/// Export reports and statements as they are, with digests that fix every part of them.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Only of this product.
    #[arg(value_name = "PRODUCT")]
    product: Option<String>,
    #[command(flatten)]
    place: Place,
    /// One document, or a line for each object.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "jsonl")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Jsonl,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let material =
            block_on(async { self.place.cluster().await?.material(self.product.as_deref()).await })?;
        if let Some(product) = &self.product
            && material.reports.is_empty()
            && material.statements.is_empty()
        {
            return Err(Failure::new(format!("there are no reports of the product {product} to export")));
        }
        let clock = clock::of_process(settings::test_clock().map_err(Failure::new)?);
        let export = proof::Export::new(clock.now().to_string(), material);
        match self.output {
            Format::Json => print::json(&export.json()),
            Format::Jsonl => export.lines().try_for_each(print::text),
        }
    }
}
