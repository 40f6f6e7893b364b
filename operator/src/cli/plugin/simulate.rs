//! `tollkeeper plugin simulate`: what a month with a plugin would cost a buyer, by a price sheet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tollkeeper_core::{identity::ObjectKey, quantity::Quantity};
use tollkeeper_simulator::{Settings, SharedSimulator, Simulator};

use super::{component, progress};
use crate::{
    cli::{
        Failure, Output, print,
        simulate::{bill, play, trace},
    },
    manifest::Manifests,
};

/// Bill a month of a plugin: the product and its buyer on a virtual clock, with a simulated AWS.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// File of the component; it is used whatever digest the product names.
    component: PathBuf,
    /// YAML files with one MarketplaceProduct and its LicenseBindings.
    #[arg(long = "product", env = "TOLLKEEPER_PRODUCT", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// JSON lines, each the state of one input from a moment on. They are moved to the beginning of the month; the last state
    /// holds to its end.
    #[arg(long, env = "TOLLKEEPER_TRACE", value_name = "FILE")]
    trace: PathBuf,
    /// The month, such as 2026-11.
    #[arg(long, env = "TOLLKEEPER_MONTH", value_name = "YYYY-MM", default_value = "2026-11")]
    month: Month,
    /// YAML or JSON with the price in USD of a unit of each dimension, such as `node_hours: "0.05"`, instead of the product's.
    #[arg(long, env = "TOLLKEEPER_PRICES", value_name = "FILE")]
    prices: Option<PathBuf>,
    /// How to print it.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// A month in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Month(Date);

impl std::str::FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        format!("{text}-01").parse().map(Self).map_err(|_| format!("`{text}` is not a month such as 2026-11"))
    }
}

impl Month {
    /// Its first moment, and the first one after it.
    fn span(self) -> Result<(Timestamp, Timestamp), Failure> {
        let start = |date: Date| date.to_zoned(TimeZone::UTC).map(|moment| moment.timestamp());
        let next = self.0.last_of_month().tomorrow();
        start(self.0).and_then(|first| Ok((first, start(next?)?))).map_err(Failure::new)
    }
}

impl Simulate {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let spinner = progress::spinner("playing the month".to_owned());
        let mut manifests = Manifests::read(&self.files).map_err(Failure::new)?;
        let product = product(&manifests)?;
        manifests.provide(&product, component::read(&self.component)?);
        if let Some(path) = &self.prices {
            price(&mut manifests, &product, path)?;
        }
        let inputs: BTreeSet<String> = manifests
            .products
            .values()
            .filter_map(|(product, _)| product.metered.as_ref())
            .flat_map(|metered| metered.product.meter.inputs.iter().map(|input| input.name.clone()))
            .collect();
        let span = self.month.span()?;
        let trace = trace::read(&self.trace, Some(&inputs))?.moved_to(span.0);
        let simulator = SharedSimulator::new(Simulator::new(Settings::default()));
        let simulation = play(&manifests, &trace, span, &simulator, None, None)?;
        spinner.finish_and_clear();
        match self.output {
            Output::Json => print::json(&simulation.json())?,
            Output::Text => print::text(bill::text(&simulation, &manifests))?,
        }
        match simulation.violations.first() {
            Some(first) => Err(Failure::new(format!("an invariant is broken: {first}"))),
            None => Ok(()),
        }
    }
}

/// The one product with a meter.
fn product(manifests: &Manifests) -> Result<ObjectKey, Failure> {
    let mut metered = manifests.products.iter().filter(|(_, (product, _))| product.metered.is_some());
    match (metered.next(), metered.next()) {
        (Some((key, _)), None) => Ok(key.clone()),
        _ => Err(Failure::new(
            "the files must hold exactly one MarketplaceProduct with spec.meter, and its LicenseBindings",
        )),
    }
}

/// Puts a price sheet in place of the product's own prices.
fn price(manifests: &mut Manifests, product: &ObjectKey, path: &Path) -> Result<(), Failure> {
    let file = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{file}: the prices cannot be read: {error}")))?;
    let sheet: BTreeMap<String, Quantity> = serde_yaml::from_str(&text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        Failure::new(format!("{file}:{line}: {error}; a price sheet has lines such as node_hours: \"0.05\""))
    })?;
    let Some((checked, _)) = manifests.products.get_mut(product) else { return Ok(()) };
    for (dimension, price) in sheet {
        let known = checked.dimensions.iter_mut().find(|one| one.dimension.name.as_str() == dimension);
        let Some(known) = known else {
            return Err(Failure::new(format!(
                "{file}: the product {product} has no dimension `{dimension}`; price what it sells"
            )));
        };
        known.price = Some(price);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let month: Month = "2026-12".parse().unwrap();
        let (from, to) = month.span().unwrap();
        assert_eq!(
            (from.to_string().as_str(), to.to_string().as_str()),
            ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
        );
        assert!("2026-13".parse::<Month>().is_err());
        assert!("November".parse::<Month>().is_err());
    }
}
