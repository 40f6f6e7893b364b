//! The bill of a simulation, for people.

use std::fmt::Write as _;

use tollkeeper_core::{identity::ObjectKey, ledger::Entry, report::SealedRecord};

use super::result::Simulation;
use crate::manifest::Manifests;

/// The bill as text.
pub(crate) fn text(simulation: &Simulation, manifests: &Manifests) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, simulation, manifests);
    out
}

/// The bill as a page.
pub(crate) fn html(simulation: &Simulation, manifests: &Manifests) -> String {
    let text = text(simulation, manifests).replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Tollkeeper: simulated bill</title><pre>{text}</pre>\n"
    )
}

fn write_text(out: &mut String, simulation: &Simulation, manifests: &Manifests) -> std::fmt::Result {
    let (from, to) = simulation.span;
    writeln!(out, "Simulated bill, {from} to {to}\n")?;
    writeln!(
        out,
        "{:<12} {:<16} {:>18} {:>12} {:>8} {:>10} {:>12}",
        "PRODUCT", "DIMENSION", "MEASURED", "BILLED", "RECORDS", "REMAINDER", "USD"
    )?;
    for ((product, dimension), total) in simulation.totals() {
        let price = price(manifests, &product, dimension.as_str());
        writeln!(
            out,
            "{:<12} {:<16} {:>18} {:>12} {:>8} {:>10} {:>12}",
            product.name,
            dimension.as_str(),
            total.measured.to_string(),
            total.billed,
            total.records,
            total.remainder.to_string(),
            price.map_or_else(|| "-".to_owned(), |micros| usd(u128::from(total.billed) * micros)),
        )?;
        for (units, what) in [
            (total.written_off, "written off"),
            (total.rejected, "rejected"),
            (total.held, "held"),
            (total.unsettled, "unsettled"),
        ] {
            if units > 0 {
                writeln!(out, "{:<12} {:<16} {units} units {what}", "", "")?;
            }
        }
    }
    write_provenance(out, simulation)?;
    for problem in &simulation.problems {
        writeln!(out, "note: {problem}")?;
    }
    for violation in &simulation.violations {
        writeln!(out, "VIOLATION {violation}")?;
    }
    if simulation.violations.is_empty() {
        writeln!(
            out,
            "\nThe ledger and AWS's books agree on {} records; the hash chain of {} reports is intact; nothing was billed twice.",
            simulation.books.accepted.len(),
            simulation.entries.len()
        )?;
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
        writeln!(out, "  plugin {}", evidence.plugin)?;
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

/// The declared price in millionths of a dollar.
fn price(manifests: &Manifests, product: &ObjectKey, dimension: &str) -> Option<u128> {
    let (checked, _) = manifests.products.get(product)?;
    let dimension = checked.dimensions.iter().find(|one| one.dimension.name.as_str() == dimension)?;
    dimension.price.map(|price| price.micros())
}

fn usd(micros: u128) -> String {
    let cents = micros.div_ceil(10_000);
    format!("{}.{:02}", cents / 100, cents % 100)
}
