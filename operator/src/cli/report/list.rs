//! `tollkeeper report list`: every record of the ledger, and totals.

use clap::Args;
use serde_json::{Value, json};
use tollkeeper_core::{audit, ledger::Entry, report::SealedRecord, settlement::RecordStatus};
use tollkeeper_ledger::kubernetes::Found;

use super::{block_on, place::Place};
use crate::cli::{
    Failure, Output, print,
    render::{self, Align},
};

/// List the records of the ledger, oldest first, and what they add up to.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
    /// Only reports of this product.
    #[arg(long, env = "TOLLKEEPER_PRODUCT", value_name = "NAME")]
    product: Option<String>,
    /// How to print the result.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (found, place) = block_on(self.read())?;
        match self.output {
            Output::Json => print::json(&json(&found))?,
            Output::Text => print::text(self.text(&found, &place))?,
        }
        match found.damaged.as_slice() {
            [] => Ok(()),
            [one] => Err(Failure::new(one)),
            [first, rest @ ..] => {
                Err(Failure::new(format!("{} reports cannot be trusted; the first: {first}", rest.len() + 1)))
            }
        }
    }

    /// The reports, and where they were looked for.
    async fn read(&self) -> Result<(Found, String), Failure> {
        let cluster = self.place.cluster().await?;
        let found = cluster.ledger().find(self.product.as_deref()).await.map_err(Failure::new)?;
        Ok((found, cluster.place()))
    }

    fn text(&self, found: &Found, place: &str) -> String {
        if found.entries.is_empty() && found.damaged.is_empty() {
            let of =
                self.product.as_ref().map_or(String::new(), |product| format!(" of the product {product}"));
            return format!("There are no usage reports{of} in {place}.\n");
        }
        let mut parts = Vec::new();
        if !found.entries.is_empty() {
            parts.push(self.records(found));
            parts.push(self.totals(found));
        }
        if !found.damaged.is_empty() {
            parts.push(found.damaged.iter().map(|problem| format!("DAMAGED {problem}\n")).collect());
        }
        parts.join("\n")
    }

    fn records(&self, found: &Found) -> String {
        let heads = [
            ("PRODUCT", Align::Left),
            ("HOUR", Align::Left),
            ("DIMENSION", Align::Left),
            ("QUANTITY", Align::Right),
            ("STATE", Align::Left),
            ("RECORD-ID", Align::Left),
            ("REASON", Align::Left),
        ];
        let rows = found.entries.iter().flat_map(|entry| {
            let records = entry.report.body.records.iter().zip(&entry.settlement.records);
            records.map(|(record, status)| self.row(entry, record, status))
        });
        render::table(&heads, &rows.collect::<Vec<_>>())
    }

    fn row(&self, entry: &Entry, record: &SealedRecord, status: &RecordStatus) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.place.product_name(&entry.product()),
            entry.report.body.hour.to_string(),
            record.dimension.to_string(),
            record.quantity.to_string(),
            format!("{:?}", status.state),
            or_dash(&status.metering_record_id),
            or_dash(&status.reason),
        ]
    }

    fn totals(&self, found: &Found) -> String {
        let heads = [
            ("PRODUCT", Align::Left),
            ("DIMENSION", Align::Left),
            ("MEASURED", Align::Right),
            ("BILLED", Align::Right),
            ("WRITTEN-OFF", Align::Right),
            ("REJECTED", Align::Right),
            ("HELD", Align::Right),
            ("UNSETTLED", Align::Right),
            ("REMAINDER", Align::Right),
        ];
        let rows = audit::totals(&found.entries).into_iter().map(|((product, dimension), total)| {
            vec![
                self.place.product_name(&product),
                dimension.to_string(),
                total.measured.to_string(),
                total.billed.to_string(),
                total.written_off.to_string(),
                total.rejected.to_string(),
                total.held.to_string(),
                total.unsettled.to_string(),
                total.remainder.to_string(),
            ]
        });
        render::table(&heads, &rows.collect::<Vec<_>>())
    }
}

fn json(found: &Found) -> Value {
    json!({
        "reports": found.entries.iter().map(render::report).collect::<Vec<_>>(),
        "totals": render::totals(&audit::totals(&found.entries)),
        "problems": found.damaged.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
