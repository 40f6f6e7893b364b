//! Bounds of a collection: every time-out, count and size in one table, and the byte budget of an input.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use tollkeeper_core::input::InputSource;

/// Bounds of one collection. The default is what the operator runs with; tests tighten it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Inputs of one product that are read at the same time. 16 is more than products declare, and small
    /// enough that a hundred inputs do not open a hundred lists at once.
    pub inputs_at_once: usize,
    /// Pods of one input that are scraped at the same time. 50 answer within a second where each takes 50 ms,
    /// so thousands of pods fit into one time-out, far below the usual limit of 1024 open files.
    pub pods_at_once: usize,
    /// Objects a page. 500 is what client-go and kubectl ask for.
    pub page: u32,
    /// Bytes a page. 500 ordinary objects of 10-20 kB fit; with larger ones fewer are asked for. It bounds the
    /// memory that whole objects take before they are pruned.
    pub page_bytes: usize,
    /// Bytes that an input hands to a plugin. A quarter of a plugin's default memory.
    pub input_bytes: usize,
    /// Bytes that one pod may serve. It is parsed line by line and not held, so this bounds time, not memory.
    pub pod_bytes: usize,
    /// Listing objects. The shortest metering interval is 10 s: 8 s leave 2 s for the plugin before the next
    /// tick is due. Waiting for a free slot counts, so no collection takes longer than its slowest time-out.
    pub objects: Duration,
    /// Finding and scraping all pods of an input; 8 s as for objects. Pods that have not answered nine tenths
    /// of it after the start are given up, and the others' samples are used.
    pub scrape: Duration,
    /// One pod. Half of the time of an input, so that one slow pod does not take the others' slots for good.
    pub pod: Duration,
    /// A Prometheus query; 8 s as for objects.
    pub promql: Duration,
    /// A JSON document; 8 s as for objects.
    pub http: Duration,
    /// Opening a connection. A lost SYN packet is sent again after 1 s; what has not answered after 2 s is away.
    pub connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inputs_at_once: 16,
            pods_at_once: 50,
            page: 500,
            page_bytes: 16 << 20,
            input_bytes: 16 << 20,
            pod_bytes: 64 << 20,
            objects: Duration::from_secs(8),
            scrape: Duration::from_secs(8),
            pod: Duration::from_secs(4),
            promql: Duration::from_secs(8),
            http: Duration::from_secs(8),
            connect: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The time-out of an input of this source.
    pub(super) fn time_out(&self, source: &InputSource) -> Duration {
        match source {
            InputSource::Objects { .. } => self.objects,
            InputSource::Scrape { .. } => self.scrape,
            InputSource::Promql { .. } => self.promql,
            InputSource::Http { .. } => self.http,
        }
    }
}

/// The bytes that an input may still hold.
pub(super) struct Budget {
    left: AtomicUsize,
    exceeded: AtomicBool,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes), exceeded: AtomicBool::new(false) }
    }

    /// Whether somebody asked for more than was left.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// A part of the budget that goes back unless it is kept.
    pub(super) fn share(&self) -> Share<'_> {
        Share { budget: self, taken: 0 }
    }
}

/// What one page or pod has taken from the budget.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    taken: usize,
}

impl Share<'_> {
    /// Takes bytes; false if that many are not left.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let taken = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok();
        if taken {
            self.taken += bytes;
        } else {
            self.budget.exceeded.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// What was taken stays taken.
    pub(super) fn keep(mut self) {
        self.taken = 0;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.taken, Ordering::Relaxed);
    }
}

/// A number of bytes as people write it.
pub(super) fn bytes(count: usize) -> String {
    match count {
        mib if mib >= 1 << 20 => format!("{} MiB", mib >> 20),
        kib if kib >= 1 << 10 => format!("{} KiB", kib >> 10),
        few => format!("{few} bytes"),
    }
}

/// A duration as people write it.
pub(super) fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_kept_goes_back_to_the_budget() {
        let budget = Budget::new(10);
        let mut lost = budget.share();
        assert!(lost.take(8));
        drop(lost);
        let mut kept = budget.share();
        assert!(kept.take(8));
        kept.keep();
        assert!(!budget.is_exceeded());
        assert!(!budget.share().take(3));
        assert!(budget.is_exceeded());
    }

    #[test]
    fn sizes_and_times_read_like_prose() {
        assert_eq!(
            (bytes(16 << 20), bytes(2048), bytes(7)),
            ("16 MiB".into(), "2 KiB".into(), "7 bytes".into())
        );
        assert_eq!(seconds(Duration::from_secs(8)), "8 s");
        assert_eq!(seconds(Duration::from_millis(250)), "250 ms");
    }
}
