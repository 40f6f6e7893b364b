//! How long the ledger is kept, and what keeps it.

use std::sync::Arc;

use clap::Args;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tollkeeper_controller::{decision, statement};
use tollkeeper_core::{ledger::Ledger, product::Span, statement::Retention};
use tollkeeper_ledger::kubernetes::{KubernetesStatements, Scope};

use super::Parts;

/// Late usage is looked for in the reports of the last 48 hours, and an hour takes six hours to settle.
const SHORTEST: SignedDuration = SignedDuration::from_hours(54);

/// A year. Older reports are what statements are for, and ten products with a year of them already take a gigabyte in etcd.
const LONGEST: SignedDuration = SignedDuration::from_hours(8784);

/// How long reports and statements are kept.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Keep {
    /// How long settled reports are kept after their hour, 54h to 8784h. Statements keep their totals and prove their chain.
    #[arg(long, env = "TOLLKEEPER_REPORT_RETENTION", default_value = "72h", value_name = "DURATION", value_parser = report_retention)]
    report_retention: SignedDuration,
    /// For how many months before the present one statements are kept. Two are the fewest that always hold the last bill.
    #[arg(long, env = "TOLLKEEPER_STATEMENT_RETENTION", default_value = "13", value_name = "MONTHS", value_parser = clap::value_parser!(u32).range(2..=120))]
    statement_retention: u32,
}

fn report_retention(text: &str) -> Result<SignedDuration, String> {
    let Span(span) = text.parse().map_err(|error| format!("{error}"))?;
    let retention = SignedDuration::try_from(span).map_err(|error| error.to_string())?;
    if (SHORTEST..=LONGEST).contains(&retention) {
        Ok(retention)
    } else {
        Err("reports are kept for 54h to 8784h: late usage is looked for in the last two days, and a year is what statements are for".to_owned())
    }
}

/// Rolls up, prunes and tells of decisions, until it is told to stop.
pub(super) async fn keep(
    parts: &Parts,
    keep: Keep,
    ledger: &Arc<dyn Ledger>,
    scope: Scope,
    stop: &CancellationToken,
) {
    let clerk = statement::Clerk {
        clock: parts.clock.clone(),
        ledger: ledger.clone(),
        statements: Arc::new(KubernetesStatements::new(parts.client.clone(), scope)),
        retention: Retention { reports: keep.report_retention, statements: keep.statement_retention },
    };
    let house = decision::House {
        clock: parts.clock.clone(),
        ledger: ledger.clone(),
        products: parts.products.clone(),
        events: parts.events.clone(),
    };
    futures::join!(
        statement::run(clerk, || parts.products.keys(), &parts.roster, stop),
        decision::run(&house, stop)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_kept_for_two_days_and_six_hours_at_least() {
        assert_eq!(report_retention("72h"), Ok(SignedDuration::from_hours(72)));
        assert_eq!(report_retention("54h"), Ok(SHORTEST));
        for text in ["53h", "8785h", "0h", "-1h", "three days", "72"] {
            assert!(report_retention(text).is_err(), "{text}");
        }
    }
}
