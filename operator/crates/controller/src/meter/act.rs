//! What a meter writes: checkpoints, and the reports of ended hours.
//!
//! Order is safety: restore, then forget what is sealed; save, then seal. So a report and a checkpoint together
//! always hold every increase exactly once, wherever the process dies.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Saved},
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Entry, LedgerError},
    mark::{Mark, Note, in_doubt},
    plan::seal::{self, LateUsage},
    product::{Binding, LatePolicy},
    quantity::Quantity,
    recording::Seal,
    report::SealedReport,
    settlement::{RecordState, Settlement},
    usage::HourUsage,
};

use crate::rollback;

use super::{CHECKPOINT_INTERVAL, Chain, Duty, Finding, House, Meter, RETRY, doubt::SecondOpinion};

/// How far back late usage is looked for: it expires within six hours, and this leaves two days for outages.
const LATE_LOOKBACK: SignedDuration = SignedDuration::from_hours(48);

impl Meter {
    /// Reads what has been sealed and what has been checkpointed. Until both are known, nothing is measured.
    pub(super) async fn restore(&mut self, house: &House) {
        if self.chain.is_none() {
            match self.recall(house).await {
                Ok(history) => {
                    // A process that died right after a seal has not come to it.
                    self.mark_carried(house, &history).await;
                    self.chain =
                        Some(Chain { last: history.into_iter().next_back().map(|entry| entry.report) });
                    self.forget_sealed();
                }
                Err(error) => return self.note_storage(&Finding::new(error.reason(), error)),
            }
        }
        let rollback = house.marks.of(&self.product.key).rollback();
        let sealed = self.sealed();
        let (mut problem, mut gone) = (None, Vec::new());
        for (key, metered) in self.bindings.iter_mut().filter(|(_, metered)| !metered.restored) {
            match house.checkpoints.load(&metered.binding).await {
                Ok(tally) => {
                    metered.tally = tally.unwrap_or_default();
                    if let Some(sealed) = sealed {
                        metered.tally.forget_through(sealed);
                    }
                    if let Some(rollback) = rollback {
                        metered.tally.doubt_through(rollback.through);
                    }
                    metered.restored = true;
                    if let Some(recorder) = &self.recorder {
                        recorder.restored(&self.product.key, &metered.binding, &metered.tally);
                    }
                    // Written back before anything is sealed: whoever measured before and is still alive finds itself
                    // superseded, and cannot add to an hour that this process is about to seal.
                    metered.unsaved = true;
                    tracing::info!(
                        product = %self.product.key, binding = %metered.binding.key,
                        last_tick = metered.tally.last_tick().map(tracing::field::display), "metering starts"
                    );
                }
                Err(CheckpointError::Gone(_)) if metered.duty == Duty::Farewell => gone.push(key.clone()),
                // A binding that is gone is taken off the roster by whoever watches bindings.
                Err(CheckpointError::Gone(_)) => {}
                Err(error) => problem = Some(Finding::new(error.reason(), error)),
            }
        }
        self.bindings.retain(|key, _| !gone.contains(key));
        if let Some(problem) = problem {
            self.note_storage(&problem);
        }
    }

    /// What another process has sealed while this one was superseded is over, also of bindings that are gone.
    fn forget_sealed(&mut self) {
        let Some(sealed) = self.sealed() else { return };
        for metered in self.bindings.values_mut().filter(|metered| metered.restored) {
            metered.tally.forget_through(sealed);
        }
    }

    /// The last hour that is known to have a report.
    pub(super) fn sealed(&self) -> Option<BillingHour> {
        self.chain.as_ref().and_then(|chain| chain.last.as_ref()).map(|report| report.body.hour)
    }

    /// The last hour that no tick may add to.
    pub(super) fn closed(&self) -> Option<BillingHour> {
        self.sealed().max(self.sealing)
    }

    /// What the ledger shows of the product, after it has been compared with what is known to have been sent.
    async fn recall(&self, house: &House) -> Result<Vec<Entry>, LedgerError> {
        let product = &self.product.key;
        rollback::look(house.marks.as_ref(), house.ledger.as_ref(), product, house.clock.now()).await?;
        let history = house.ledger.history(product, BillingHour::of(Timestamp::UNIX_EPOCH)).await?;
        let mark = house.marks.of(product);
        if let Some(note) = history.last().and_then(|newest| Note::of_seen(&mark, newest)) {
            house.marks.raise(product, note).await?;
        }
        Ok(history)
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
                // Nobody asks for it and nobody can read it again: what is in memory is all there is, and is sealed. The
                // store has not told the time.
                Err(CheckpointError::Gone(_)) if metered.duty == Duty::Farewell => {
                    metered.unsaved = false;
                    opinion = opinion.or(Some(SecondOpinion::new(now, now, Saved::default())));
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
                    && (metered.duty != Duty::Ticks
                        || self.sealing == Some(hour)
                        || metered.first_tick > last
                        || metered.tally.last_tick().is_some_and(|tick| tick >= last))
            })
    }

    async fn seal(&mut self, house: &House, hour: BillingHour) -> Result<(), LedgerError> {
        let since = self.lookback(house, hour).await?;
        let mut history = house.ledger.history(&self.product.key, since).await?;
        self.refuse_what_is_behind(&history, since)?;
        let previous = history
            .iter()
            .rev()
            .map(|entry| &entry.report)
            .find(|report| report.body.hour < hour)
            .or_else(|| self.chain.as_ref().and_then(|chain| chain.last.as_ref()))
            .filter(|report| report.body.hour < hour)
            .cloned();
        let mark = house.marks.of(&self.product.key);
        let late = late_usage(&history, self.product.policy.late, &mark);
        let plan = self.plan_seal(&house.cluster, hour, previous.as_ref(), &late);
        let mut outcome = None;
        let mut finding = Finding::unknown(hour, &plan.unknown);
        if let Some(report) = plan.report {
            let settlement = Settlement::of(&report, self.product.mode);
            // A report of such an hour was there before: it is new only because it was lost.
            let settlement = if mark.covers(hour) { in_doubt(settlement) } else { settlement };
            self.sealing = Some(hour);
            let sealed =
                match house.ledger.create_if_absent(&self.product.key.namespace, &report, &settlement).await?
                {
                    Created::New(entry) => {
                        self.note_sealed(&entry);
                        entry
                    }
                    Created::Existing(entry) => {
                        finding = finding.or_else(|| Finding::otherwise(&entry.report, &report));
                        entry
                    }
                };
            outcome = Some(sealed.report.clone());
            self.chain = Some(Chain { last: Some(sealed.report.clone()) });
            self.findings.last_sealed = Some(hour);
            history.push(sealed);
        }
        self.mark_carried(house, &history).await;
        self.record_seal(hour, &house.cluster, previous, late, outcome);
        if let Some(Finding { reason, message }) = &finding {
            tracing::warn!(product = %self.product.key, reason, message, "an hour is not what was measured");
        }
        self.findings.sealed = finding;
        self.findings.dropped_tag_keys = plan.dropped_keys;
        for metered in self.bindings.values_mut() {
            metered.unsaved |= metered.tally.hour(hour).is_some();
            metered.tally.forget_through(hour);
        }
        self.sealing = None;
        Ok(())
    }

    /// Marks the expired records that a later report carries. Nothing is billed by it: the report that carries them says so
    /// itself. What fails is made up for at the next seal or the next start.
    async fn mark_carried(&mut self, house: &House, history: &[Entry]) {
        for (entry, settlement) in carried(history) {
            if let Err(error) = house.ledger.compare_and_swap(entry, &settlement).await {
                self.note_storage(&Finding::new(error.reason(), error));
            }
        }
    }

    /// What a read does not show would be linked past, and late usage that it carries would be carried again.
    fn refuse_what_is_behind(&self, history: &[Entry], since: BillingHour) -> Result<(), LedgerError> {
        let last = self.chain.as_ref().and_then(|chain| chain.last.as_ref());
        match last {
            Some(last)
                if last.body.hour >= since && !history.iter().any(|entry| entry.report.hash == last.hash) =>
            {
                Err(LedgerError::Behind(ObjectKey::new(self.product.key.namespace.clone(), last.name())))
            }
            _ => Ok(()),
        }
    }

    /// The report of an hour from what has been measured. The same from the same measurements, always.
    pub(super) fn plan_seal(
        &self,
        cluster: &str,
        hour: BillingHour,
        previous: Option<&SealedReport>,
        late: &[LateUsage],
    ) -> seal::Plan {
        let usage: Vec<(&Binding, &HourUsage)> = self
            .bindings
            .values()
            .filter_map(|metered| Some((&metered.binding, metered.tally.hour(hour)?)))
            .collect();
        let product = &self.product;
        seal::plan(&seal::Observed { cluster, product, hour, usage: &usage, previous, late })
    }

    fn record_seal(
        &self,
        hour: BillingHour,
        cluster: &str,
        previous: Option<SealedReport>,
        late: Vec<LateUsage>,
        report: Option<SealedReport>,
    ) {
        let Some(recorder) = &self.recorder else { return };
        let bindings = self.bindings.keys().map(|(key, _)| key.name.clone()).collect();
        let seal = Seal { cluster: cluster.to_owned(), previous, late, bindings, report };
        recorder.sealed(&self.product.key, hour, seal);
    }

    /// From which hour on reports decide what is late: all those that may carry an expired record are among them, however
    /// long an outage was or a person has taken.
    async fn lookback(&self, house: &House, hour: BillingHour) -> Result<BillingHour, LedgerError> {
        let usual = BillingHour::of(hour.start() - LATE_LOOKBACK);
        let scan = house.ledger.scan_unsettled().await?;
        let expired = scan.of(&self.product.key)?.filter(|entry| {
            entry.settlement.records.iter().any(|record| record.state == RecordState::Expired)
        });
        Ok(expired.map(|entry| entry.report.body.hour).min().map_or(usual, |oldest| oldest.min(usual)))
    }

    fn note_sealed(&self, entry: &Entry) {
        for record in &entry.report.body.records {
            tracing::info!(
                report = %entry.key(), dimension = %record.dimension, quantity = record.quantity,
                measured = %record.measured, remainder = %record.remainder, "sealed"
            );
        }
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

/// Expired usage that no report carries yet, and that the product's policy or a person wants carried.
fn late_usage(history: &[Entry], policy: LatePolicy, mark: &Mark) -> Vec<LateUsage> {
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
                && !mark.doubts(&entry.report, status)
                && (policy == LatePolicy::CarryForward || status.is_released())
                && !carried.contains(&(&record.dimension, entry.report.body.hour))
        })
        .map(|(entry, (record, _))| LateUsage {
            dimension: record.dimension.clone(),
            hour: entry.report.body.hour,
            quantity: Quantity::from_units(record.quantity),
        })
        .collect()
}

/// Reports with expired records that another report carries, and what is to become of them.
fn carried(history: &[Entry]) -> Vec<(&Entry, Settlement)> {
    let carried: Vec<_> = history
        .iter()
        .map(|entry| &entry.report)
        .flat_map(|report| {
            report.body.records.iter().flat_map(move |record| {
                record.carried_from.iter().map(move |from| (&record.dimension, from.hour, report.body.hour))
            })
        })
        .collect();
    let marked = |entry: &Entry| {
        let mut settlement = entry.settlement.clone();
        for status in settlement.records.iter_mut().filter(|status| status.state == RecordState::Expired) {
            let to = carried.iter().find(|(dimension, from, _)| {
                **dimension == status.dimension && *from == entry.report.body.hour
            });
            if let Some((_, _, to)) = to {
                *status = status.clone().carried_to(*to);
            }
        }
        settlement
    };
    history
        .iter()
        .map(|entry| (entry, marked(entry)))
        .filter(|(entry, settlement)| *settlement != entry.settlement)
        .collect()
}
