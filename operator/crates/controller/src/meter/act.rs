//! What a meter writes: checkpoints, and the reports of ended hours.
//!
//! Order is safety: restore, then forget what is sealed; save, then seal. So a report and a checkpoint together
//! always hold every increase exactly once, wherever the process dies.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError},
    hour::BillingHour,
    ledger::{Created, Entry, LedgerError},
    plan::seal::{self, LateUsage},
    product::{Binding, LatePolicy},
    quantity::Quantity,
    report::SealedReport,
    settlement::{RecordState, Settlement},
    usage::HourUsage,
};

use super::{CHECKPOINT_INTERVAL, Chain, Finding, House, Meter, RETRY, doubt::SecondOpinion};

/// How far back late usage is looked for: it expires within six hours, and this leaves two days for outages.
const LATE_LOOKBACK: SignedDuration = SignedDuration::from_hours(48);

impl Meter {
    /// Reads what has been sealed and what has been checkpointed. Until both are known, nothing is measured.
    pub(super) async fn restore(&mut self, house: &House) {
        if self.chain.is_none() {
            match house.ledger.history(&self.product.key, BillingHour::of(Timestamp::UNIX_EPOCH)).await {
                Ok(history) => {
                    self.chain =
                        Some(Chain { last: history.into_iter().next_back().map(|entry| entry.report) });
                }
                Err(error) => return self.note_storage(&Finding::new(error.reason(), error)),
            }
        }
        let sealed = self.chain.as_ref().and_then(|chain| chain.last.as_ref()).map(|report| report.body.hour);
        let mut problem = None;
        for metered in self.bindings.values_mut().filter(|metered| !metered.restored) {
            match house.checkpoints.load(&metered.binding).await {
                Ok(tally) => {
                    metered.tally = tally.unwrap_or_default();
                    if let Some(sealed) = sealed {
                        metered.tally.forget_through(sealed);
                    }
                    metered.restored = true;
                    // Written back before anything is sealed: whoever measured before and is still alive finds itself
                    // superseded, and cannot add to an hour that this process is about to seal.
                    metered.unsaved = true;
                    tracing::info!(
                        product = %self.product.key, binding = %metered.binding.key,
                        last_tick = metered.tally.last_tick().map(tracing::field::display), "metering starts"
                    );
                }
                // A binding that is gone is taken off the roster by whoever watches bindings.
                Err(CheckpointError::Gone(_)) => {}
                Err(error) => problem = Some(Finding::new(error.reason(), error)),
            }
        }
        if let Some(problem) = problem {
            self.note_storage(&problem);
        }
    }

    /// Saves what has changed. A binding that another process has taken over is read again before it is measured on.
    pub(super) async fn checkpoint(&mut self, house: &House, now: Timestamp) {
        let (mut problem, mut opinion) = (None, None);
        let checkpoints: Vec<_> = self
            .bindings
            .iter()
            .filter(|(_, metered)| metered.unsaved)
            .map(|(key, metered)| {
                let checkpoint = Checkpoint { tally: metered.tally.clone(), current: self.current(metered) };
                (key.clone(), checkpoint)
            })
            .collect();
        for (key, checkpoint) in checkpoints {
            let Some(metered) = self.bindings.get_mut(&key) else { continue };
            let saved = house.checkpoints.save(&metered.binding, &checkpoint).await;
            match saved {
                Ok(saved) => {
                    metered.unsaved = false;
                    opinion = Some(SecondOpinion::new(now, house.clock.now(), saved));
                }
                Err(error @ CheckpointError::Superseded(_)) => {
                    metered.restored = false;
                    metered.unsaved = false;
                    self.chain = None;
                    problem = Some(Finding::new(error.reason(), error));
                }
                Err(error) => problem = Some(Finding::new(error.reason(), error)),
            }
        }
        if let Some(opinion) = opinion {
            self.note_opinion(opinion);
        }
        match problem {
            Some(problem) => {
                self.next_checkpoint = Some(now + RETRY);
                self.note_storage(&problem);
            }
            None => {
                self.next_checkpoint = Some(after(now, CHECKPOINT_INTERVAL));
                self.findings.storage = None;
            }
        }
    }

    /// Seals the hours that are due, oldest first.
    pub(super) async fn seal_due(&mut self, house: &House, now: Timestamp) {
        let due: Vec<BillingHour> =
            self.open_hours().into_iter().filter(|hour| now >= seal::due(*hour)).collect();
        for hour in due {
            if !self.is_complete(hour) {
                return;
            }
            if !self.is_sure_of_the_time(house, now).await {
                return;
            }
            if self.bindings.values().any(|metered| metered.unsaved || !metered.restored) {
                return;
            }
            if let Err(error) = self.seal(house, hour).await {
                return self.note_storage(&Finding::new(error.reason(), error));
            }
        }
    }

    /// Whether no tick that counts for the hour is outstanding.
    fn is_complete(&self, hour: BillingHour) -> bool {
        let last = self.until.map_or(hour.end(), |until| until.min(hour.end()));
        self.chain.is_some()
            && self.bindings.values().all(|metered| {
                metered.restored
                    && (metered.ending
                        || metered.first_tick > last
                        || metered.tally.last_tick().is_some_and(|tick| tick >= last))
            })
    }

    async fn seal(&mut self, house: &House, hour: BillingHour) -> Result<(), LedgerError> {
        let since = BillingHour::of(hour.start() - LATE_LOOKBACK);
        let history = house.ledger.history(&self.product.key, since).await?;
        let previous = history
            .iter()
            .rev()
            .map(|entry| &entry.report)
            .find(|report| report.body.hour < hour)
            .or_else(|| self.chain.as_ref().and_then(|chain| chain.last.as_ref()))
            .filter(|report| report.body.hour < hour)
            .cloned();
        let late = late_usage(&history);
        let usage: Vec<(&Binding, &HourUsage)> = self
            .bindings
            .values()
            .filter_map(|metered| Some((&metered.binding, metered.tally.hour(hour)?)))
            .collect();
        let observed = seal::Observed {
            cluster: &house.cluster,
            product: &self.product,
            hour,
            usage: &usage,
            previous: previous.as_ref(),
            late: if self.product.policy.late == LatePolicy::CarryForward { &late } else { &[] },
        };
        let plan = seal::plan(&observed);
        if let Some(report) = plan.report {
            let settlement = Settlement::of(&report, self.product.mode);
            let sealed =
                match house.ledger.create_if_absent(&self.product.key.namespace, &report, &settlement).await?
                {
                    Created::New(entry) => self.note_sealed(entry),
                    Created::Existing(entry) => self.note_existing(entry, &report),
                };
            settle_carried(house, &sealed, &history).await?;
            self.chain = Some(Chain { last: Some(sealed) });
            self.findings.last_sealed = Some(hour);
        }
        self.findings.dropped_tag_keys = plan.dropped_keys;
        for metered in self.bindings.values_mut() {
            metered.unsaved |= metered.tally.hour(hour).is_some();
            metered.tally.forget_through(hour);
        }
        Ok(())
    }

    fn note_sealed(&self, entry: Entry) -> SealedReport {
        for record in &entry.report.body.records {
            tracing::info!(
                report = %entry.key(), dimension = %record.dimension, quantity = record.quantity,
                measured = %record.measured, remainder = %record.remainder, "sealed"
            );
        }
        entry.report
    }

    /// The hour was sealed before a crash, or by another process: what is in the ledger holds.
    fn note_existing(&self, entry: Entry, planned: &SealedReport) -> SealedReport {
        if entry.report != *planned {
            tracing::warn!(
                report = %entry.key(), sealed = %entry.report.hash, planned = %planned.hash,
                "this hour was sealed with other numbers; they hold"
            );
        }
        entry.report
    }

    fn note_storage(&mut self, finding: &Finding) {
        tracing::error!(product = %self.product.key, reason = finding.reason, message = finding.message, "not saved");
        self.findings.storage = Some(finding.clone());
    }
}

/// The next checkpoint lies on a multiple of the interval, so that the one at five past the hour is the one that the
/// seal needs.
fn after(now: Timestamp, interval: SignedDuration) -> Timestamp {
    let step = interval.as_secs().max(1);
    Timestamp::from_second((now.as_second().div_euclid(step) + 1).saturating_mul(step))
        .unwrap_or(Timestamp::MAX)
}

/// Expired usage that no report carries yet.
fn late_usage(history: &[Entry]) -> Vec<LateUsage> {
    let carried: BTreeSet<_> = history
        .iter()
        .flat_map(|entry| &entry.report.body.records)
        .flat_map(|record| record.carried_from.iter().map(|from| (&record.dimension, from.hour)))
        .collect();
    history
        .iter()
        .flat_map(|entry| {
            entry.report.body.records.iter().zip(&entry.settlement.records).map(move |pair| (entry, pair))
        })
        .filter(|(entry, (record, status))| {
            status.state == RecordState::Expired
                && !carried.contains(&(&record.dimension, entry.report.body.hour))
        })
        .map(|(entry, (record, _))| LateUsage {
            dimension: record.dimension.clone(),
            hour: entry.report.body.hour,
            quantity: Quantity::from_units(record.quantity),
        })
        .collect()
}

/// Marks the expired records that `sealed` carries. If this fails, they stay `Expired` and are marked with the next seal:
/// the report that carries them says so itself.
async fn settle_carried(house: &House, sealed: &SealedReport, history: &[Entry]) -> Result<(), LedgerError> {
    let carriers = history.iter().map(|entry| &entry.report).chain([sealed]);
    let carried: Vec<_> = carriers
        .flat_map(|report| {
            report.body.records.iter().flat_map(move |record| {
                record.carried_from.iter().map(move |from| (&record.dimension, from.hour, report.body.hour))
            })
        })
        .collect();
    for entry in history {
        let mut settlement = entry.settlement.clone();
        for status in settlement.records.iter_mut().filter(|status| status.state == RecordState::Expired) {
            let to = carried.iter().find(|(dimension, from, _)| {
                **dimension == status.dimension && *from == entry.report.body.hour
            });
            if let Some((_, _, to)) = to {
                *status = status.clone().carried_to(*to);
            }
        }
        if settlement != entry.settlement {
            house.ledger.compare_and_swap(entry, &settlement).await?;
        }
    }
    Ok(())
}
