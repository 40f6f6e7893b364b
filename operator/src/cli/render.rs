//! Reports and totals as JSON, the same from every verb.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollkeeper_core::{
    audit::Total,
    identity::{DimensionName, ObjectKey},
    ledger::Entry,
};

/// An entry as the object that the API server holds.
pub(super) fn report(entry: &Entry) -> Value {
    let phase = entry.settlement.phase().as_str();
    json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": "UsageReport",
        "metadata": {
            "name": entry.report.name(),
            "namespace": entry.namespace,
            "labels": {
                "tollkeeper.dev/product": entry.report.body.product_ref.name,
                "tollkeeper.dev/phase": phase,
            },
        },
        "spec": entry.report,
        "status": { "phase": phase, "records": entry.settlement.records },
    })
}

/// What has become of every dimension, a line each.
pub(super) fn totals(totals: &BTreeMap<(ObjectKey, DimensionName), Total>) -> Vec<Value> {
    let line = |((product, dimension), total): (&(ObjectKey, DimensionName), &Total)| {
        json!({
            "namespace": product.namespace,
            "product": product.name,
            "dimension": dimension,
            "measured": total.measured,
            "billed": total.billed,
            "writtenOff": total.written_off,
            "rejected": total.rejected,
            "held": total.held,
            "unsettled": total.unsettled,
            "remainder": total.remainder,
        })
    };
    totals.iter().map(line).collect()
}

/// Rows as text, each column as wide as its widest cell. Columns of numbers are told by their heads.
pub(super) fn table(heads: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let head = heads.get(column).map_or(0, |(head, _)| head.chars().count());
        cells.chain([head]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(heads).zip(&widths).map(|((cell, (_, align)), width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut out = line(&mut heads.iter().map(|(head, _)| *head));
    out.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    out
}

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".into(), "12".into()], vec!["bbb".into(), "3".into()]];
        let text = table(&[("X", Align::Left), ("N", Align::Right)], &rows);
        assert_eq!(text, "X     N\na    12\nbbb   3\n");
    }
}
