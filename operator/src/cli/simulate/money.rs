//! Prices and amounts, exact: in millionths of a dollar.

use tollkeeper_core::{audit::Total, identity::ObjectKey};

use super::result::Simulation;
use crate::manifest::Manifests;

/// The declared price of a unit.
pub(super) fn price(manifests: &Manifests, product: &ObjectKey, dimension: &str) -> Option<u128> {
    let (checked, _) = manifests.products.get(product)?;
    let dimension = checked.dimensions.iter().find(|one| one.dimension.name.as_str() == dimension)?;
    dimension.price.map(|price| price.micros())
}

/// What the billed units of a dimension cost.
pub(super) fn amount(total: &Total, price: u128) -> u128 {
    u128::from(total.billed).saturating_mul(price)
}

/// The sum over all dimensions with a price, and whether every dimension has one.
pub(super) fn sum(simulation: &Simulation, manifests: &Manifests) -> (u128, bool) {
    let totals = simulation.totals();
    let amounts: Vec<Option<u128>> = totals
        .iter()
        .map(|((product, dimension), total)| {
            price(manifests, product, dimension.as_str()).map(|price| amount(total, price))
        })
        .collect();
    (amounts.iter().flatten().sum(), amounts.iter().all(Option::is_some))
}
