//! What must hold, whatever goes wrong: the invariants of `docs/ledger.md`, judged from what passes through the seams.
//!
//! It knows the truth (the workload, the store, AWS's books) and nothing of what the processes think.

mod finish;
mod replay;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    hour::BillingHour,
    identity::{ClientToken, Digest, ObjectKey},
    ledger::Entry,
    mark::LEDGER_ROLLED_BACK,
    metering::MeterUsage,
    product::Binding,
    report::SealedReport,
    settlement::RecordState,
    statement::StoredStatement,
    usage::Tally,
};

pub(crate) use self::finish::Ending;
use crate::tenant::Tenant;

/// Calls of one pod that AWS's quota leaves in a second: 95 % of ten, rounded down.
const CALLS_A_SECOND: usize = 9;

/// How long what needs a person may stay unsaid.
const LOUD_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// A change of a record's state: from, to.
pub(crate) type Transition = (RecordState, RecordState);

/// Recent calls of AWS, by pod: those of all products share one quota.
#[derive(Debug, Default)]
pub(crate) struct Calls(BTreeMap<String, VecDeque<Timestamp>>);

impl Calls {
    /// Adds a call. Returns how many there were in the second before it, itself included.
    pub(crate) fn note(&mut self, pod: &str, now: Timestamp) -> usize {
        let calls = self.0.entry(pod.to_owned()).or_default();
        calls.push_back(now);
        calls.retain(|call| now.duration_since(*call) < SignedDuration::from_secs(1));
        calls.len()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Whose it is: every product has one of its own.
    tenant: Tenant,
    pub(crate) violations: Vec<String>,
    pub(crate) transitions: BTreeMap<Transition, u64>,
    /// The first request of every token.
    requests: BTreeMap<ClientToken, MeterUsage>,
    newest_epoch: u64,
    /// Sent again on purpose: the product's policy allows a second charge.
    released: BTreeSet<(String, String)>,
    /// Ticks that ran before their time, because a clock was ahead, and when their inputs were read.
    early: BTreeMap<Timestamp, Timestamp>,
    first_tick: Option<Timestamp>,
    last_tick: Option<Timestamp>,
    /// By binding, the last tick that its first durable checkpoint knows, and the last tick that its newest one does.
    checkpoints: BTreeMap<String, (Timestamp, Timestamp)>,
    /// A source was away before a durable checkpoint could know it: its baseline is what it shows when it is back. Or its binding
    /// was unknown to a process.
    has_hidden_source: bool,
    /// Reports with a record that needs a person.
    needy: BTreeSet<ObjectKey>,
    /// The last hour that a backup had forgotten.
    forgotten: Option<BillingHour>,
    /// Reports that were deleted, as they were then.
    pruned: Vec<Entry>,
    /// Who has sealed which report.
    sealed: BTreeSet<(usize, Digest)>,
    /// Hours that were computed again.
    pub(crate) replayed: u64,
    /// Since when a record needs a person and nobody says so.
    silent_since: Option<Timestamp>,
}

impl Oracle {
    pub(crate) fn of(tenant: Tenant) -> Self {
        Self { tenant, ..Self::default() }
    }

    pub(crate) fn breach(&mut self, invariant: &str, at: Timestamp, message: &str) {
        let whose = if self.tenant == Tenant::Neighbour { "the neighbour: " } else { "" };
        self.violations.push(format!("{invariant} at {at}: {whose}{message}"));
    }

    /// The inputs of a tick are those of this moment.
    pub(crate) fn note_collection(&mut self, tick: Timestamp, seen: Timestamp) {
        if seen < tick {
            self.early.insert(tick, seen);
        }
    }

    /// The moment of which a tick's inputs are.
    pub(crate) fn moment_of(&self, tick: Timestamp) -> Timestamp {
        self.early.get(&tick).copied().unwrap_or(tick)
    }

    pub(crate) fn note_tick(&mut self, tick: Timestamp) {
        let tick = self.moment_of(tick);
        self.first_tick = Some(self.first_tick.map_or(tick, |first| first.min(tick)));
        self.last_tick = Some(self.last_tick.map_or(tick, |last| last.max(tick)));
    }

    /// One source of a binding does not answer.
    pub(crate) fn note_absence(&mut self, binding: &str) {
        self.has_hidden_source |= !self.checkpoints.contains_key(binding);
    }

    /// A process starts that does not know of a binding.
    pub(crate) fn note_unknown_binding(&mut self) {
        self.has_hidden_source = true;
    }

    pub(crate) fn note_checkpoint(&mut self, binding: &Binding, tally: &Tally, now: Timestamp) {
        let Some(tick) = tally.last_success() else { return };
        let known = self.checkpoints.entry(binding.key.to_string()).or_insert((tick, tick));
        if tick < known.1 {
            let last = known.1;
            self.breach("I4", now, &format!("a checkpoint of {tick} replaces one of {last}"));
        } else {
            known.1 = tick;
        }
    }

    /// The store goes back in time: what it knew is not what it knows.
    pub(crate) fn note_restore(
        &mut self,
        lost: &BTreeMap<ObjectKey, Entry>,
        backup: &BTreeMap<ObjectKey, Entry>,
        pruned: Vec<Entry>,
        has_checkpoint: impl Fn(&str) -> bool,
    ) {
        self.pruned = pruned;
        let newest = lost.values().map(|entry| entry.report.body.hour).max();
        self.forgotten = self.forgotten.max(newest);
        // A binding without one has a new baseline.
        self.checkpoints.retain(|binding, _| has_checkpoint(binding));
        self.checkpoints.values_mut().for_each(|(first, newest)| *newest = *first);
        let needs_a_person =
            |entry: &&Entry| entry.settlement.records.iter().any(|record| record.state.needs_attention());
        self.needy = backup.values().filter(needs_a_person).map(Entry::key).collect();
    }

    /// Whether a report of this hour may be one that a backup had forgotten or showed otherwise than it was.
    fn may_be_forgotten(&self, hour: BillingHour) -> bool {
        self.forgotten.is_some_and(|forgotten| hour <= forgotten)
    }

    /// A report is deleted: every record of it has ended, and a durable statement counts it and says that it may be gone.
    pub(crate) fn note_prune(&mut self, entry: &Entry, statements: &[StoredStatement], now: Timestamp) {
        let hour = entry.report.body.hour;
        if !entry.settlement.is_terminal() {
            self.breach("I4", now, &format!("{} is deleted before its records have ended", entry.key()));
        }
        let is_counted = statements
            .iter()
            .map(|stored| &stored.statement.body)
            .any(|body| body.has_counted(hour) && body.pruned_through.is_some_and(|through| hour <= through));
        if !is_counted {
            self.breach("I4", now, &format!("{} is deleted and no statement counts it", entry.key()));
        }
        // A refusal that nobody has acknowledged is in the statement from now on.
        self.needy.remove(&entry.key());
        self.pruned.push(entry.clone());
    }

    /// The reports that were deleted so far.
    pub(crate) fn pruned(&self) -> &[Entry] {
        &self.pruned
    }

    pub(crate) fn note_seal(&mut self, entry: &Entry, later: &[Entry], process: usize, now: Timestamp) {
        let report = &entry.report;
        self.sealed.insert((process, report.hash.clone()));
        if !report.is_intact() {
            self.breach("Chain", now, &format!("{} is sealed with a wrong hash", entry.key()));
        }
        if let Some(next) = later.iter().find(|other| other.report.body.hour > report.body.hour) {
            self.breach("Chain", now, &format!("{} is sealed after {}", entry.key(), next.key()));
        }
        if now < report.body.hour.end() {
            self.breach("Closed", now, &format!("{} is sealed before the end of its hour", entry.key()));
        }
        for record in &report.body.records {
            let allocated: u64 = record.allocations.iter().map(|part| u64::from(part.quantity)).sum();
            if !record.allocations.is_empty() && allocated != u64::from(record.quantity) {
                self.breach("I13", now, &format!("{}: allocations sum to {allocated}", entry.key()));
            }
        }
    }

    pub(crate) fn note_swap(&mut self, before: &Entry, after: &Entry, epoch: u64, now: Timestamp) {
        if after.settlement.records.iter().any(|record| record.state.needs_attention()) {
            self.needy.insert(after.key());
        } else if !self.needy.is_empty() {
            self.needy.remove(&after.key());
        }
        self.check_frozen(&before.report, &after.report, now);
        let pairs = before.settlement.records.iter().zip(&after.settlement.records);
        for (old, new) in pairs.filter(|(old, new)| old != new) {
            *self.transitions.entry((old.state, new.state)).or_default() += 1;
            if old.state.is_terminal() {
                let message = format!("{}: {:?} became {:?}", after.key(), old.state, new.state);
                self.breach("I5", now, &message);
            }
            let is_doubt =
                new.state == RecordState::Ambiguous && new.reason.as_deref() == Some(LEDGER_ROLLED_BACK);
            let is_lawful = is_lawful(old.state, new.state)
                || (is_doubt && !old.state.is_terminal() && self.may_be_forgotten(after.report.body.hour));
            if !is_lawful {
                let message = format!("{}: {:?} cannot become {:?}", after.key(), old.state, new.state);
                self.breach("States", now, &message);
            }
            if let Some(claim) = new.claim.as_ref().filter(|_| new.state == RecordState::Sending) {
                if claim.epoch != epoch && old.claim != new.claim {
                    self.breach("I8", now, &format!("{}: a claim in another's epoch", after.key()));
                }
                self.newest_epoch = self.newest_epoch.max(claim.epoch);
            }
            if (old.state, new.state) == (RecordState::Ambiguous, RecordState::Sealed)
                && new.reason.as_deref() == Some("NeverUnderBill")
            {
                self.released.insert((after.key().name, new.dimension.to_string()));
            }
        }
        if before.settlement.records.len() != after.settlement.records.len() {
            self.breach("I4", now, &format!("{} lost a record", after.key()));
        }
    }

    fn check_frozen(&mut self, before: &SealedReport, after: &SealedReport, now: Timestamp) {
        if before != after {
            self.breach("I2", now, &format!("{} changed after its seal", after.name()));
        }
    }

    pub(crate) fn note_send(
        &mut self,
        request: &MeterUsage,
        entry: Option<&Entry>,
        (pod, epoch): (&str, u64),
        now: Timestamp,
    ) {
        let slot = format!("{} of {}", request.dimension, request.timestamp);
        let first = self.requests.entry(request.client_token.clone()).or_insert_with(|| request.clone());
        if first != request {
            self.breach("I2", now, &format!("another request for {slot} than the first one"));
        }
        match entry {
            None => self.breach("I3", now, &format!("{slot} is sent and no report says so")),
            Some(entry) => self.check_claim(request, entry, pod, now),
        }
        if epoch < self.newest_epoch {
            let newest = self.newest_epoch;
            self.breach("I8", now, &format!("{slot} is sent in epoch {epoch}, after a claim of {newest}"));
        }
    }

    /// I14: `calls` of this pod within a second, for whatever product.
    pub(crate) fn note_pace(&mut self, pod: &str, calls: usize, now: Timestamp) {
        if calls > CALLS_A_SECOND {
            self.breach("I14", now, &format!("{pod} makes {calls} calls in one second"));
        }
    }

    fn check_claim(&mut self, request: &MeterUsage, entry: &Entry, pod: &str, now: Timestamp) {
        let record = entry.report.record(&request.dimension);
        if record.map(|record| entry.report.request(record)).as_ref() != Some(request) {
            self.breach("I2", now, &format!("{}: what is sent is not what was sealed", entry.key()));
        }
        if now < entry.report.body.hour.end() {
            self.breach("Closed", now, &format!("{} is sent before its hour is over", entry.key()));
        }
        let status = entry.settlement.record(&request.dimension);
        let is_claimed = status.is_some_and(|status| {
            status.state == RecordState::Sending
                && status.claim.as_ref().is_some_and(|claim| claim.pod == pod)
        });
        // Somebody else may have called it ambiguous since: then this very answer is the evidence.
        let was_claimed = status.is_some_and(|status| {
            matches!(status.state, RecordState::Ambiguous | RecordState::WrittenOff)
                && status.claim.as_ref().is_some_and(|claim| claim.pod == pod)
        });
        if !is_claimed && !was_claimed {
            self.breach("I3", now, &format!("{} is sent without a durable claim", entry.key()));
        }
    }

    /// Whether there is anything that a person must be told.
    pub(crate) fn is_anything_needed(&self) -> bool {
        !self.needy.is_empty()
    }

    /// Whether what needs a person is said within a minute. Called at every step. Returns until when silence is borne.
    pub(crate) fn note_loudness(&mut self, is_said: bool, now: Timestamp) -> Option<Timestamp> {
        if is_said {
            self.silent_since = None;
            return None;
        }
        let since = *self.silent_since.get_or_insert(now);
        if now.duration_since(since) > LOUD_WITHIN {
            self.breach("I7", now, &format!("a record needs a person since {since} and nothing says so"));
            self.silent_since = Some(now);
        }
        self.silent_since.map(|since| since + LOUD_WITHIN)
    }
}

/// The state machine of `docs/ledger.md`.
fn is_lawful(from: RecordState, to: RecordState) -> bool {
    use RecordState::{
        Accepted, Ambiguous, CarriedForward, Expired, Held, Rejected, Sealed, Sending, WrittenOff,
    };
    match from {
        Sealed => matches!(to, Sealed | Sending | Expired | WrittenOff | Held),
        Sending => matches!(to, Sending | Accepted | Rejected | Sealed | Ambiguous | Expired),
        Ambiguous => matches!(to, Ambiguous | Accepted | Sealed | WrittenOff | Rejected | Expired),
        Expired => matches!(to, Expired | CarriedForward | WrittenOff | Held),
        Accepted | Rejected | CarriedForward | WrittenOff | Held => from == to,
    }
}
