//! The hours that are being recorded, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    product::{Binding, Product},
    recording::{Entry, Header, RecordedTick, Seal, Start, Terms, line},
    usage::Tally,
};

/// One hour of one product takes at most this in memory, compressed: a cluster whose inputs are larger is not recorded.
const MAX_BYTES: usize = 64 << 20;

/// Hours that were open for longer than this are given up: they will hardly be sealed from what is in memory.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);

#[derive(Default)]
pub(super) struct Hours {
    /// By product.
    open: BTreeMap<ObjectKey, BTreeMap<BillingHour, Hour>>,
    /// By product, the bindings that had no tick for so long that hours have passed or were sealed without them, when the last
    /// tick began.
    away: BTreeMap<ObjectKey, BTreeSet<String>>,
    /// By product, the last hour that was sealed.
    sealed: BTreeMap<ObjectKey, BillingHour>,
}

struct Hour {
    lines: GzEncoder<Vec<u8>>,
    terms: Option<Terms>,
    /// Bindings as they were recorded, by UID.
    bindings: BTreeMap<String, Binding>,
    /// Whether a tick at or after the end of the hour is there: none after it matters.
    is_over: bool,
    /// Whether it has become too large, or could not be written.
    is_given_up: bool,
}

impl Hour {
    fn new(product: &ObjectKey, hour: BillingHour) -> Self {
        let mut new = Self {
            lines: GzEncoder::new(Vec::new(), Compression::fast()),
            terms: None,
            bindings: BTreeMap::new(),
            is_over: false,
            is_given_up: false,
        };
        new.write(&line(&Header::new(product.clone(), hour)));
        new
    }

    fn write(&mut self, line: &str) {
        if self.is_given_up {
            return;
        }
        let written = self.lines.write_all(line.as_bytes());
        if written.is_err() || self.lines.get_ref().len() > MAX_BYTES {
            tracing::warn!(reason = "RecordingTooLarge", limit = MAX_BYTES, "an hour is not recorded");
            self.is_given_up = true;
            self.lines = GzEncoder::new(Vec::new(), Compression::fast());
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.write(&line(entry));
    }

    fn finished(self) -> io::Result<Option<Vec<u8>>> {
        if self.is_given_up { Ok(None) } else { self.lines.finish().map(Some) }
    }
}

impl Hours {
    /// Gives up the hours that this binding is part of or that it has missed ticks of: they are not sealed from what was
    /// recorded. The next tick begins them anew; one that is sealed before has no recording, as after a process has restarted.
    pub(super) fn restored(&mut self, product: &ObjectKey, binding: &Binding, tally: &Tally) {
        if let Some(hours) = self.open.get_mut(product) {
            hours.retain(|hour, open| {
                let is_missed = tally.last_tick().is_some_and(|last| last < hour.end());
                !open.bindings.contains_key(&binding.uid) && tally.hour(*hour).is_none() && !is_missed
            });
        }
    }

    /// Every hour that this tick can change: those that are open in a tally, and those between the last tick and this.
    pub(super) fn before(&mut self, product: &Product, tick: Timestamp, bindings: &[(&Binding, &Tally)]) {
        let present = BillingHour::of(tick);
        let interval = product.meter.interval;
        let sealed = self.sealed.get(&product.key);
        let is_away = |tally: &Tally| {
            tally.last_tick().is_some_and(|last| {
                let has_missed = interval.after(last) < tick && BillingHour::of(last) < present;
                has_missed || sealed.is_some_and(|hour| last < hour.end())
            })
        };
        let away = bindings.iter().filter(|(_, tally)| is_away(tally));
        self.away.insert(product.key.clone(), away.map(|(binding, _)| binding.key.name.clone()).collect());
        let oldest = BillingHour::of(tick - LONGEST);
        let first = bindings
            .iter()
            .flat_map(|(_, tally)| {
                let last = tally.last_tick().map(BillingHour::of);
                tally.hours().map(|(hour, _)| hour).next().into_iter().chain(last)
            })
            .min();
        let hours = self.open.entry(product.key.clone()).or_default();
        hours.retain(|hour, _| *hour >= oldest);
        let mut hour = first.map_or(present, |first| first.clamp(oldest, present));
        let terms = Terms::of(product);
        while hour <= present {
            let open = hours.entry(hour).or_insert_with(|| Hour::new(&product.key, hour));
            if !open.is_over {
                open.begin(&terms, bindings);
            }
            hour = hour.next();
        }
    }

    pub(super) fn after(&mut self, product: &ObjectKey, tick: &RecordedTick) {
        let Some(hours) = self.open.get_mut(product) else { return };
        let away = self.away.get(product);
        if away.is_some_and(|away| tick.bindings.keys().any(|binding| away.contains(binding))) {
            // What it missed counts for hours of which nobody knows here whether they are sealed; the next tick begins anew.
            hours.clear();
            return;
        }
        let entry = line(&Entry::Tick(tick.clone()));
        for (hour, open) in hours.iter_mut().filter(|(hour, open)| !open.is_over && hour.start() <= tick.at) {
            open.write(&entry);
            open.is_over = tick.at >= hour.end();
        }
    }

    /// The compressed recording of an hour; `None` if there is none.
    pub(super) fn sealed(&mut self, product: &ObjectKey, hour: BillingHour, seal: Seal) -> Option<Vec<u8>> {
        let last = self.sealed.entry(product.clone()).or_insert(hour);
        *last = hour.max(*last);
        let mut sealed = self.open.get_mut(product)?.remove(&hour)?;
        sealed.entry(&Entry::Seal(Box::new(seal)));
        sealed.finished().ok().flatten()
    }
}

impl Hour {
    fn begin(&mut self, terms: &Terms, bindings: &[(&Binding, &Tally)]) {
        if self.terms.as_ref() != Some(terms) {
            self.entry(&Entry::Terms(terms.clone()));
            self.terms = Some(terms.clone());
        }
        for (binding, tally) in bindings {
            if self.bindings.get(&binding.uid) != Some(*binding) {
                self.bindings.insert(binding.uid.clone(), (*binding).clone());
                let start = Start { binding: (*binding).clone(), tally: (*tally).clone() };
                self.entry(&Entry::Start(Box::new(start)));
            }
        }
    }
}
