//! The books as JSON, for people and tests.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tollkeeper_core::{hour::BillingHour, quantity::Quantity};

use crate::{
    books::{AcceptedRecord, Books, RejectedRequest},
    faults::InjectedFault,
    request::Amount,
};

/// All that was billed, refused and broken on purpose.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BooksView {
    /// In the order of acceptance.
    pub accepted: Vec<AcceptedRecord>,
    /// In the order of refusal; the newest 10,000.
    pub rejected: Vec<RejectedRequest>,
    /// Older refusals that are no longer listed.
    pub rejected_before: u64,
    /// Slots for which more than one pod has an accepted record.
    pub double_bills: Vec<DoubleBill>,
    /// What each buyer pays for, by product and dimension.
    pub totals: Vec<Total>,
    /// Faults that the script injected, in order.
    pub faults: Vec<InjectedFault>,
}

/// One hour of one dimension that a buyer was billed for more than once.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DoubleBill {
    /// The product.
    pub product_code: String,
    /// The account that pays.
    pub buyer: String,
    /// The dimension.
    pub dimension: String,
    /// The hour.
    pub hour: BillingHour,
    /// The sum over all pods: what the buyer pays.
    pub billed: Amount,
    /// The records, in the order of acceptance.
    pub records: Vec<BilledBy>,
}

/// One of the records of a double bill.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BilledBy {
    /// The UID of the pod.
    pub pod: String,
    /// How much.
    pub quantity: Amount,
    /// The record.
    pub metering_record_id: String,
}

/// A sum over all hours and pods.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The product.
    pub product_code: String,
    /// The account that pays.
    pub buyer: String,
    /// The dimension.
    pub dimension: String,
    /// How much.
    pub quantity: Amount,
    /// In how many records.
    pub records: usize,
}

impl BooksView {
    pub(crate) fn of(books: &Books, faults: &[InjectedFault]) -> Self {
        Self {
            accepted: books.accepted().to_vec(),
            rejected: books.rejected().cloned().collect(),
            rejected_before: books.rejected_before(),
            double_bills: double_bills(books.accepted()),
            totals: totals(books.accepted()),
            faults: faults.to_vec(),
        }
    }
}

fn double_bills(accepted: &[AcceptedRecord]) -> Vec<DoubleBill> {
    let mut slots: BTreeMap<_, Vec<&AcceptedRecord>> = BTreeMap::new();
    for record in accepted {
        let slot = (record.hour, &record.product_code, &record.dimension, &record.buyer);
        slots.entry(slot).or_default().push(record);
    }
    let billed_twice = |records: &[&AcceptedRecord]| {
        records.iter().map(|record| &record.pod).collect::<BTreeSet<_>>().len() > 1
    };
    slots
        .into_iter()
        .filter(|(_, records)| billed_twice(records))
        .map(|((hour, product_code, dimension, buyer), records)| DoubleBill {
            product_code: product_code.clone(),
            buyer: buyer.clone(),
            dimension: dimension.clone(),
            hour,
            billed: sum(&records),
            records: records
                .iter()
                .map(|record| BilledBy {
                    pod: record.pod.clone(),
                    quantity: record.quantity,
                    metering_record_id: record.metering_record_id.clone(),
                })
                .collect(),
        })
        .collect()
}

fn totals(accepted: &[AcceptedRecord]) -> Vec<Total> {
    let mut groups: BTreeMap<_, Vec<&AcceptedRecord>> = BTreeMap::new();
    for record in accepted {
        groups.entry((&record.product_code, &record.dimension, &record.buyer)).or_default().push(record);
    }
    groups
        .into_iter()
        .map(|((product_code, dimension, buyer), records)| Total {
            product_code: product_code.clone(),
            buyer: buyer.clone(),
            dimension: dimension.clone(),
            quantity: sum(&records),
            records: records.len(),
        })
        .collect()
}

fn sum(records: &[&AcceptedRecord]) -> Amount {
    Amount(records.iter().map(|record| record.quantity.0).sum::<Quantity>())
}
