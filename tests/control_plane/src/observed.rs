//! The ledger as people read it, and AWS's books beside it.

use serde_json::{Value, json};

/// What the cluster and AWS's books say.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The UsageReports, oldest first.
    pub reports: Vec<Value>,
    /// AWS's own books.
    pub books: Value,
}

impl Observed {
    /// Fails unless AWS bills exactly what the ledger says was accepted, once for each slot.
    pub fn agrees(&self) {
        assert_eq!(self.books["doubleBills"], json!([]), "double bills: {:#}", self.books["doubleBills"]);
        let mut billed: Vec<(String, String, u64, String)> = self.books["accepted"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| {
                slot(
                    record["hour"].as_str(),
                    record["dimension"].as_str(),
                    &record["quantity"],
                    &record["meteringRecordId"],
                )
            })
            .collect();
        let mut accepted: Vec<(String, String, u64, String)> = self
            .reports
            .iter()
            .flat_map(|report| {
                let records = report["spec"]["records"].as_array().unwrap();
                let states = report["status"]["records"].as_array().unwrap();
                records.iter().zip(states).filter(|(_, state)| state["state"] == "Accepted").map(
                    |(record, state)| {
                        slot(
                            report["spec"]["hour"].as_str(),
                            record["dimension"].as_str(),
                            &record["quantity"],
                            &state["meteringRecordId"],
                        )
                    },
                )
            })
            .collect();
        billed.sort();
        accepted.sort();
        assert_eq!(accepted, billed, "the ledger and AWS's books differ");
    }
}

fn slot(
    hour: Option<&str>,
    dimension: Option<&str>,
    quantity: &Value,
    id: &Value,
) -> (String, String, u64, String) {
    (
        hour.unwrap().to_owned(),
        dimension.unwrap().to_owned(),
        quantity.as_u64().unwrap(),
        id.as_str().unwrap().to_owned(),
    )
}
