//! The bill of a simulation as text.

use std::fmt::Write as _;

use tollkeeper_core::{
    audit::Total,
    identity::{DimensionName, ObjectKey},
    ledger::Entry,
    report::SealedRecord,
};

use super::{
    money::{amount, price, sum},
    notable::{gaps, others},
    result::Simulation,
};
use crate::{
    cli::{
        money::usd,
        render::{Align, table},
    },
    manifest::Manifests,
};

/// The bill as text.
pub(crate) fn text(simulation: &Simulation, manifests: &Manifests) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, simulation, manifests);
    out
}

fn write_text(out: &mut String, simulation: &Simulation, manifests: &Manifests) -> std::fmt::Result {
    let (from, to) = simulation.span;
    writeln!(out, "Simulated bill, {from} to {to}\n")?;
    out.push_str(&bill(simulation, manifests));
    let (total, all_priced) = sum(simulation, manifests);
    let left_out = if all_priced { "" } else { " for the dimensions with a price" };
    writeln!(out, "\nTotal: {} USD{left_out}", usd(total))?;
    write_notable(out, simulation)?;
    write_provenance(out, simulation)?;
    if simulation.violations.is_empty() {
        writeln!(out, "\n{}", simulation.agreement())?;
    }
    Ok(())
}

fn bill(simulation: &Simulation, manifests: &Manifests) -> String {
    let heads = [
        ("PRODUCT", Align::Left),
        ("DIMENSION", Align::Left),
        ("MEASURED", Align::Right),
        ("BILLED", Align::Right),
        ("RECORDS", Align::Right),
        ("REMAINDER", Align::Right),
        ("USD", Align::Right),
        ("NOT BILLED", Align::Left),
    ];
    let row = |((product, dimension), total): (&(ObjectKey, DimensionName), &Total)| {
        let price = price(manifests, product, dimension.as_str());
        vec![
            product.name.clone(),
            dimension.to_string(),
            total.measured.to_string(),
            total.billed.to_string(),
            total.records.to_string(),
            total.remainder.to_string(),
            price.map_or_else(|| "-".to_owned(), |price| usd(amount(total, price))),
            not_billed(total),
        ]
    };
    table(&heads, &simulation.totals().iter().map(row).collect::<Vec<_>>())
}

/// Units of a dimension that AWS has not taken, or `-`.
pub(super) fn not_billed(total: &Total) -> String {
    let places = [
        (total.written_off, "written off"),
        (total.rejected, "rejected"),
        (total.held, "held"),
        (total.unsettled, "unsettled"),
    ];
    let named: Vec<_> = places
        .iter()
        .filter(|(units, _)| *units > 0)
        .map(|(units, what)| format!("{units} {what}"))
        .collect();
    if named.is_empty() { "-".to_owned() } else { named.join(", ") }
}

fn write_notable(out: &mut String, simulation: &Simulation) -> std::fmt::Result {
    for violation in &simulation.violations {
        writeln!(out, "VIOLATION {violation}")?;
    }
    for problem in &simulation.problems {
        writeln!(out, "note: {problem}")?;
    }
    for sentence in others(simulation).into_iter().chain(gaps(simulation)) {
        writeln!(out, "note: {sentence}")?;
    }
    Ok(())
}

/// Where the numbers come from, shown on the last report of each product.
fn write_provenance(out: &mut String, simulation: &Simulation) -> std::fmt::Result {
    let mut last: Vec<&Entry> = Vec::new();
    for entry in &simulation.entries {
        last.retain(|other| other.product() != entry.product());
        last.push(entry);
    }
    for entry in last {
        let body = &entry.report.body;
        let evidence = &body.evidence;
        writeln!(out, "\nWhere the numbers come from, hour {} of {}:", body.hour, entry.product())?;
        for plugin in evidence.plugins() {
            writeln!(out, "  plugin {plugin}")?;
        }
        writeln!(
            out,
            "  inputs {} over {} ticks, {} missed",
            evidence.inputs, evidence.ticks, evidence.missed
        )?;
        for (record, status) in body.records.iter().zip(&entry.settlement.records) {
            let id = status.metering_record_id.as_deref().unwrap_or("-");
            writeln!(
                out,
                "  {}: measured {} -> {} billed, {} carried on; {:?} as {id}",
                record.dimension, record.measured, record.quantity, record.remainder, status.state
            )?;
            write_allocations(out, record)?;
        }
        writeln!(out, "  sealed as {}", entry.report.hash)?;
    }
    Ok(())
}

fn write_allocations(out: &mut String, record: &SealedRecord) -> std::fmt::Result {
    for part in &record.allocations {
        let tags = if part.tags.is_empty() { "untagged".to_owned() } else { part.tags.to_string() };
        writeln!(out, "    {:>10} {tags}", part.quantity)?;
    }
    Ok(())
}
