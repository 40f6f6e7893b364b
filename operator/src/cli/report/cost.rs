//! `tollkeeper report cost`: what the billed units come to at the prices that the product declares. A preview: AWS has the
//! real prices, and other clusters of the buyer add to the same bill.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};
use tollkeeper_api::{MarketplaceProduct, convert::CheckedProduct};
use tollkeeper_core::{
    hour::BillingHour,
    identity::{DimensionName, ObjectKey},
    month::Month,
    proof::Material,
    quantity::Quantity,
    statement::{MonthTotal, rolled_up},
};

use super::{
    block_on,
    place::{Cluster, Place},
};
use crate::cli::{
    Failure, Output, money, print,
    render::{self, Align},
};

/// Preview the cost of what AWS took, by month, at the prices in the product. Prices are never sent to AWS.
#[derive(Debug, Args)]
pub(crate) struct Cost {
    /// Only of this product.
    #[arg(value_name = "PRODUCT")]
    product: Option<String>,
    /// Only of this month, such as 2026-11.
    #[arg(long, env = "TOLLKEEPER_MONTH", value_name = "MONTH")]
    month: Option<Month>,
    #[command(flatten)]
    place: Place,
    /// How to print the result.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

type Prices = BTreeMap<(ObjectKey, DimensionName), Quantity>;

/// A dimension's month.
struct Row {
    product: ObjectKey,
    month: Month,
    total: MonthTotal,
    price: Option<Quantity>,
}

impl Row {
    /// Millionths of a dollar; `None` without a price.
    fn amount(&self) -> Option<u128> {
        let units = self.total.billed.micros() / 1_000_000;
        self.price.map(|price| units.saturating_mul(price.micros()))
    }
}

impl Cost {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (material, prices, place) = block_on(async {
            let cluster = self.place.cluster().await?;
            let material = cluster.material(self.product.as_deref()).await?;
            let prices = prices(&cluster).await?;
            Ok((material, prices, cluster.place()))
        })?;
        let rows = self.rows(&material, &prices);
        match self.output {
            Output::Json => print::json(&json!({"months": rows.iter().map(json).collect::<Vec<_>>()})),
            Output::Text if rows.is_empty() => print::text(format_args!("Nothing was billed in {place}.\n")),
            Output::Text => print::text(self.text(&rows)),
        }
    }

    /// What is pruned is in statements, what is not rolled up yet in reports.
    fn rows(&self, material: &Material, prices: &Prices) -> Vec<Row> {
        let (entries, statements) = (material.entries(), material.stored_statements());
        let months: BTreeSet<(ObjectKey, Month)> = entries
            .iter()
            .map(|entry| (entry.product(), Month::of(entry.report.body.hour)))
            .chain(statements.iter().map(|stored| (stored.product(), stored.statement.body.month)))
            .filter(|(_, month)| self.month.is_none_or(|wanted| wanted == *month))
            .collect();
        let mut rows = Vec::new();
        for (product, month) in months {
            let own = statements.iter().filter(|stored| stored.product() == product);
            let statement = own.clone().find(|stored| stored.statement.body.month == month);
            let before = own.clone().rfind(|stored| stored.statement.body.month < month);
            let history: Vec<_> =
                entries.iter().filter(|entry| entry.product() == product).cloned().collect();
            let end = BillingHour::of(jiff::Timestamp::MAX);
            let counted = rolled_up(
                statement.map(|stored| &stored.statement),
                before.map(|stored| &stored.statement),
                &history,
                month,
                end,
            );
            rows.extend(counted.into_iter().flat_map(|body| body.totals).map(|total| {
                let price = prices.get(&(product.clone(), total.dimension.clone())).copied();
                Row { product: product.clone(), month, total, price }
            }));
        }
        rows
    }

    fn text(&self, rows: &[Row]) -> String {
        let heads = [
            ("PRODUCT", Align::Left),
            ("MONTH", Align::Left),
            ("DIMENSION", Align::Left),
            ("BILLED", Align::Right),
            ("PRICE", Align::Right),
            ("COST", Align::Right),
            ("HELD", Align::Right),
        ];
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let cells = rows.iter().map(|row| {
            vec![
                self.place.product_name(&row.product),
                row.month.to_string(),
                row.total.dimension.to_string(),
                (row.total.billed.micros() / 1_000_000).to_string(),
                or_dash(row.price.map(|price| money::usd(price.micros()))),
                or_dash(row.amount().map(money::usd)),
                (row.total.held.micros() / 1_000_000).to_string(),
            ]
        });
        let sum = money::usd(rows.iter().filter_map(Row::amount).sum());
        let left_out =
            if rows.iter().all(|row| row.price.is_some()) { "" } else { " for the dimensions with a price" };
        let table = render::table(&heads, &cells.collect::<Vec<_>>());
        format!(
            "{table}\nTotal: {sum} USD{left_out}. A preview of this cluster's usage; the bill is AWS's.\n"
        )
    }
}

fn json(row: &Row) -> Value {
    json!({
        "namespace": row.product.namespace,
        "product": row.product.name,
        "month": row.month,
        "dimension": row.total.dimension,
        "billed": row.total.billed.micros() / 1_000_000,
        "held": row.total.held.micros() / 1_000_000,
        "price": row.price,
        "cost": row.amount().map(Quantity::from_micros),
    })
}

/// The prices that the products declare. A product that cannot be used has none.
async fn prices(cluster: &Cluster) -> Result<Prices, Failure> {
    let api: Api<MarketplaceProduct> = match &cluster.namespace {
        Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let products = api
        .list(&ListParams::default())
        .await
        .map_err(|error| Failure::new(format!("the products cannot be read for their prices: {error}")))?;
    let mut prices = Prices::new();
    for product in products {
        let key = ObjectKey::new(product.namespace().unwrap_or_default(), product.name_any());
        let Ok(checked) = CheckedProduct::try_from(&product) else { continue };
        for dimension in checked.dimensions {
            if let Some(price) = dimension.price {
                prices.insert((key.clone(), dimension.dimension.name.clone()), price);
            }
        }
    }
    Ok(prices)
}
