//! Billed units over time, a small chart for each dimension: by day, or by hour if there is only one day.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use tollkeeper_core::{
    hour::BillingHour,
    identity::{DimensionName, ObjectKey},
    settlement::RecordState,
};

use super::Escaped;
use crate::cli::{money::grouped, simulate::result::Simulation};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;

/// The space between two bars, as a part of a bar's place.
const GAP: f64 = 0.18;

/// Bars stay slim even if there are few.
const WIDEST: f64 = 60.0;

#[derive(Clone, Copy, Default)]
struct Bar {
    billed: u64,
    /// Written off, rejected, held or not settled; what a later hour carries is in that hour's bar.
    lost: u64,
}

type Bars = BTreeMap<String, Bar>;

pub(super) fn write(out: &mut String, simulation: &Simulation) -> fmt::Result {
    let (from, to) = simulation.span;
    let is_one_day = to.duration_since(from).as_hours() <= 24;
    let slots: Vec<String> = slots(simulation, is_one_day);
    let mut charts: BTreeMap<(ObjectKey, DimensionName), Bars> = BTreeMap::new();
    for entry in &simulation.entries {
        let slot = slot(entry.report.body.hour, is_one_day);
        for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
            let bars = charts.entry((entry.product(), record.dimension.clone())).or_default();
            let bar = bars.entry(slot.clone()).or_default();
            match status.state {
                RecordState::Accepted => bar.billed += u64::from(record.quantity),
                RecordState::CarriedForward => {}
                _ => bar.lost += u64::from(record.quantity),
            }
        }
    }
    let each = if is_one_day { "hour" } else { "day" };
    writeln!(out, "<h2>Billed units, {each} by {each}</h2>")?;
    if charts.values().flat_map(Bars::values).any(|bar| bar.lost > 0) {
        out.push_str("<p class=\"quiet\">Red: units that AWS did not take.</p>\n");
    }
    out.push_str("<div class=\"charts\">\n");
    for ((product, dimension), bars) in &charts {
        writeln!(
            out,
            "<figure>\n<figcaption>{} <span class=\"quiet\">{}</span></figcaption>",
            Escaped(dimension),
            Escaped(&product.name)
        )?;
        write_bars(out, &slots, bars)?;
        out.push_str("</figure>\n");
    }
    out.push_str("</div>\n");
    Ok(())
}

fn slot(hour: BillingHour, is_one_day: bool) -> String {
    let format = if is_one_day { "%H:%M" } else { "%Y-%m-%d" };
    hour.start().strftime(format).to_string()
}

/// Every hour or day of the run, with usage or without.
fn slots(simulation: &Simulation, is_one_day: bool) -> Vec<String> {
    let (from, to) = simulation.span;
    let mut slots = Vec::new();
    let mut hour = BillingHour::of(from);
    while hour.start() < to {
        let name = slot(hour, is_one_day);
        if slots.last() != Some(&name) {
            slots.push(name);
        }
        hour = hour.next();
    }
    slots
}

fn write_bars(out: &mut String, slots: &[String], bars: &Bars) -> fmt::Result {
    let highest = bars.values().map(|bar| bar.billed + bar.lost).max().unwrap_or(0).max(1);
    let place = WIDTH / slots.len().max(1) as f64;
    let width = (place * (1.0 - GAP)).min(WIDEST);
    let scaled = |units: u64| units as f64 / highest as f64 * HEIGHT;
    writeln!(
        out,
        "<div class=\"scale\"><span>{}</span></div>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"At most {highest} units\">",
        grouped(highest.into())
    )?;
    for (index, name) in slots.iter().enumerate() {
        let bar = bars.get(name).copied().unwrap_or_default();
        let x = index as f64 * place + (place - width) / 2.0;
        let (billed, lost) = (scaled(bar.billed), scaled(bar.lost));
        let lost_units = if bar.lost > 0 { format!(", {} not billed", bar.lost) } else { String::new() };
        writeln!(
            out,
            "<g><title>{}: {} billed{lost_units}</title><rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{billed:.1}\"/>\
             <rect class=\"lost\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{lost:.1}\"/></g>",
            Escaped(name),
            bar.billed,
            HEIGHT - billed,
            HEIGHT - billed - lost,
        )?;
    }
    let end = |name: Option<&String>| Escaped(name.map_or("", String::as_str).to_owned());
    writeln!(
        out,
        "</svg>\n<div class=\"scale\"><span>{}</span><span>{}</span></div>",
        end(slots.first()),
        end(slots.last())
    )
}
