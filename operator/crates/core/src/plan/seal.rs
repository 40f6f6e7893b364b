//! Turns the usage of an ended hour into the report that will be sealed.
//!
//! Everything measured is in exactly one place afterwards: in a record's quantity or in what is carried on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    allocation::{TaggedUsage, allocate, tagged},
    hour::BillingHour,
    identity::{Digest, DimensionName},
    plugin::ConfiguredPlugin,
    product::{Binding, Dimension, Fold, Product, Rounding},
    quantity::Quantity,
    report::{
        CarriedUsage, Evidence, LocalReference, Remainder, ReportBody, SealedRecord, SealedReport,
        client_token,
    },
    usage::HourUsage,
};

/// How long after its end an hour is sealed: the tick at its end has run by then, even if it ran late.
pub const SETTLE_TIME: SignedDuration = SignedDuration::from_mins(5);

/// Usage that AWS did not take in time and that is billed with a later hour.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LateUsage {
    /// The dimension.
    pub dimension: DimensionName,
    /// When it was used.
    pub hour: BillingHour,
    /// How much.
    pub quantity: Quantity,
}

/// All that a seal depends on.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Names the installation; part of every client token.
    pub cluster: &'a str,
    /// The product.
    pub product: &'a Product,
    /// The hour.
    pub hour: BillingHour,
    /// The usage of every binding in it.
    pub usage: &'a [(&'a Binding, &'a HourUsage)],
    /// The report before this one.
    pub previous: Option<&'a SealedReport>,
    /// Late usage that no report carries yet.
    pub late: &'a [LateUsage],
}

/// The hour's report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// None if nothing was used and nothing has to be said.
    pub report: Option<SealedReport>,
    /// Tag keys for which a record had no room.
    pub dropped_keys: BTreeSet<String>,
    /// Dimensions with usage that is in no record, because nobody knows how they are folded: an older version has
    /// measured them, and the product has them no more.
    pub unknown: BTreeSet<DimensionName>,
}

/// When an hour may be sealed.
pub fn due(hour: BillingHour) -> Timestamp {
    hour.end() + SETTLE_TIME
}

/// Plans the seal of one hour.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let carried = observed.previous.map(SealedReport::remainders).unwrap_or_default();
    let mut records = Vec::new();
    let mut remainders = carried.clone();
    let mut dropped_keys = BTreeSet::new();
    let dimensions = dimensions(observed, &carried);
    let is_known = |name: &&DimensionName| dimensions.iter().any(|dimension| dimension.name == **name);
    let measured = observed.usage.iter().flat_map(|(_, usage)| usage.dimensions());
    let unknown = measured.filter(|name| !is_known(name)).cloned().collect();
    for dimension in &dimensions {
        let carried = carried.get(&dimension.name).copied().unwrap_or_default();
        let Some((record, dropped)) = seal_dimension(observed, dimension, carried) else { continue };
        remainders.remove(&dimension.name);
        records.push(record);
        dropped_keys.extend(dropped);
    }
    if records.is_empty() {
        return Plan { report: None, dropped_keys, unknown };
    }
    let body = ReportBody {
        product_ref: LocalReference { name: observed.product.key.name.clone() },
        product_code: observed.product.code.clone(),
        hour: observed.hour,
        timestamp: timestamp(observed),
        records,
        remainders: remainders
            .into_iter()
            .map(|(dimension, quantity)| Remainder { dimension, quantity })
            .collect(),
        evidence: evidence(observed),
        previous: observed.previous.map(SealedReport::link),
    };
    Plan { report: Some(body.sealed()), dropped_keys, unknown }
}

/// What the hour was measured by, as it was at the first tick that knew it: what has changed since holds from the next hour
/// on. What an older version has measured goes by the product as it is. Behind them comes what is sold no more: of that,
/// late usage and whole units are billed.
fn dimensions(observed: &Observed<'_>, carried: &BTreeMap<DimensionName, Quantity>) -> Vec<Dimension> {
    let mut usage: Vec<&HourUsage> = observed.usage.iter().map(|(_, usage)| *usage).collect();
    usage.sort_by_key(|usage| usage.first_tick().unwrap_or(Timestamp::MAX));
    let is_dated = usage.iter().any(|usage| usage.measured_by().is_empty());
    let present = is_dated.then_some(&observed.product.dimensions).into_iter().flatten();
    let known = usage.iter().flat_map(|usage| usage.measured_by()).chain(present).cloned();

    let whole = carried.iter().filter(|(_, rest)| rest.billable_floor() > 0).map(|(name, _)| name);
    let left = observed.late.iter().map(|usage| &usage.dimension).chain(whole).map(|name| Dimension {
        name: name.clone(),
        fold: Fold::Last,
        rounding: Rounding::Carry,
        zero_records: false,
    });
    let mut dimensions: Vec<Dimension> = Vec::new();
    for dimension in known.chain(left) {
        if dimensions.iter().all(|other| other.name != dimension.name) {
            dimensions.push(dimension);
        }
    }
    dimensions
}

/// The record of one dimension; none if the hour adds nothing to what AWS has to be told.
fn seal_dimension(
    observed: &Observed<'_>,
    dimension: &Dimension,
    carried: Quantity,
) -> Option<(SealedRecord, BTreeSet<String>)> {
    let parts: Vec<TaggedUsage<'_>> = observed
        .usage
        .iter()
        .flat_map(|(binding, usage)| {
            usage.folded(&dimension.name, dimension.fold).into_iter().map(|part| TaggedUsage {
                own: part.tags,
                binding: &binding.tags,
                quantity: part.quantity,
            })
        })
        .collect();
    let folded: Quantity = parts.iter().map(|part| part.quantity).sum();
    let late: Vec<CarriedUsage> = observed
        .late
        .iter()
        .filter(|usage| usage.dimension == dimension.name)
        .map(|usage| CarriedUsage { hour: usage.hour, quantity: usage.quantity })
        .collect();
    let is_silent = folded.is_zero() && late.is_empty() && carried.billable_floor() == 0;
    if is_silent && !dimension.zero_records {
        return None;
    }

    let measured = folded + carried + late.iter().map(|usage| usage.quantity).sum();
    let (quantity, remainder) = rounded(measured, dimension.rounding);
    let tagged = tagged(&parts);
    let record = SealedRecord {
        dimension: dimension.name.clone(),
        quantity,
        measured,
        remainder,
        carried_from: late,
        client_token: client_token(
            observed.cluster,
            &observed.product.key,
            &observed.product.code,
            &dimension.name,
            observed.hour,
        ),
        allocations: allocate(quantity, &tagged.usage),
    };
    Some((record, tagged.dropped_keys))
}

/// What is billed, and what is carried on. More than AWS takes in one record is carried on under every rounding.
fn rounded(measured: Quantity, rounding: Rounding) -> (u32, Quantity) {
    let whole = match rounding {
        Rounding::Carry => measured,
        Rounding::Up => measured.rounded_up(),
        Rounding::Nearest => measured.rounded_half_up(),
    };
    let quantity = whole.billable_floor();
    (quantity, whole.saturating_sub(Quantity::from_units(quantity)))
}

fn timestamp(observed: &Observed<'_>) -> Timestamp {
    let first_tick = observed.usage.iter().filter_map(|(_, usage)| usage.first_tick()).min();
    first_tick.map_or(observed.hour.start(), |tick| tick.max(observed.hour.start()))
}

fn evidence(observed: &Observed<'_>) -> Evidence {
    let inputs: Vec<&str> =
        observed.usage.iter().filter_map(|(_, usage)| usage.inputs().map(Digest::as_str)).collect();
    let present = observed.product.meter.configured_plugin();
    let measured_by: Vec<ConfiguredPlugin> =
        observed.usage.iter().flat_map(|(_, usage)| usage.configured_plugins(&present.config)).collect();
    let last = measured_by.last().cloned().unwrap_or(present);
    let mut earlier: Vec<ConfiguredPlugin> = Vec::new();
    for one in measured_by {
        if one != last && !earlier.contains(&one) {
            earlier.push(one);
        }
    }
    Evidence {
        plugin: last.plugin,
        inputs: Digest::of(inputs.concat().as_bytes()),
        config: last.config,
        earlier,
        ticks: observed.usage.iter().map(|(_, usage)| usage.due()).sum(),
        missed: observed.usage.iter().map(|(_, usage)| usage.missed()).sum(),
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
