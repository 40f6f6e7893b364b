//! Who of several pods works: the holder of a Lease. Its transitions are the epoch that claims name.
//!
//! The Lease is only ever replaced with the version that was read, because a patch would steal it. Time is the real and
//! monotonic one of this process: a holder counts from the start of its last renewal, a follower from when it saw the
//! record change last, so clocks of nodes are never compared.
#![allow(clippy::disallowed_methods, reason = "leases live in real, monotonic time, whatever the clock says")]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::ObjectMeta};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::calls::{CallError, call, post_params};

/// How long a Lease is good for after its last renewal: what a pod that died costs. Ticks of most meters are 60 s apart.
pub const DURATION: Duration = Duration::from_secs(15);

/// Whether this process is to work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leadership {
    /// Another one is, or nobody.
    Follower,
    /// This one is.
    Leader {
        /// Higher than that of every leader before it.
        epoch: u64,
    },
}

/// How long a leadership is surely ours: read right before what only a leader may do.
#[derive(Debug, Default)]
pub struct Tenure(Mutex<Option<(u64, Instant)>>);

impl Tenure {
    /// Whether the leadership of this epoch lasts. A process that was suspended learns here that its time is over.
    pub fn covers(&self, epoch: u64) -> bool {
        let tenure = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenure.is_some_and(|(held, until)| held == epoch && Instant::now() < until)
    }

    fn set(&self, tenure: Option<(u64, Instant)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tenure;
    }
}

/// Takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    namespace: String,
    name: String,
    holder: String,
    duration: Duration,
    leadership: watch::Sender<Leadership>,
    tenure: Arc<Tenure>,
    last_epoch: u64,
    sighting: Option<Sighting>,
}

/// A record, and since when it has not changed.
struct Sighting {
    version: String,
    since: Instant,
}

/// A Lease that is ours.
struct Held {
    lease: Lease,
    epoch: u64,
    /// Others may take it some time after this.
    valid_until: Instant,
    renew_at: Instant,
}

/// How a leadership ended.
enum End {
    Stopped(Box<Lease>),
    Lost,
}

impl Elector {
    /// One that runs under a name of its own, best the pod's name and UID, and the place to read the outcome.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        holder: &str,
    ) -> (Self, watch::Receiver<Leadership>) {
        let (leadership, receiver) = watch::channel(Leadership::Follower);
        let elector = Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            holder: holder.to_owned(),
            duration: DURATION,
            leadership,
            tenure: Arc::default(),
            last_epoch: 0,
            sighting: None,
        };
        (elector, receiver)
    }

    /// Where to read how long a leadership lasts.
    pub fn tenure(&self) -> Arc<Tenure> {
        self.tenure.clone()
    }

    /// The same with another duration; one for all pods of an installation.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> Self {
        Self { duration, ..self }
    }

    /// Takes part until it is stopped, then gives the Lease back. Stop it when the leader's work has ended, not before.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(held) = self.acquire(&stop).await {
            let epoch = held.epoch;
            tracing::info!(epoch, holder = %self.holder, "this process leads");
            self.leadership.send_replace(Leadership::Leader { epoch });
            let end = self.keep(held, &stop).await;
            self.tenure.set(None);
            self.leadership.send_replace(Leadership::Follower);
            match end {
                End::Stopped(lease) => return self.release(*lease).await,
                End::Lost => tracing::warn!(epoch, reason = "LeaseLost", "this process leads no more"),
            }
        }
    }

    /// Waits for the Lease; `None` when stopped.
    async fn acquire(&mut self, stop: &CancellationToken) -> Option<Held> {
        while !stop.is_cancelled() {
            match self.attempt().await {
                Ok(Some(held)) => return Some(held),
                Ok(None) | Err(CallError::Conflict) => {}
                Err(error) => tracing::warn!(reason = error.reason(), %error, "the lease cannot be had"),
            }
            // Three looks a duration find an expired record soon enough.
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(self.duration / 3) => {}
            }
        }
        None
    }

    /// Takes the Lease if it is free.
    async fn attempt(&mut self) -> Result<Option<Held>, CallError> {
        let found = call(self.api.get_opt(&self.name)).await?;
        let now = Instant::now();
        if let Some(lease) = &found {
            let version = lease.metadata.resource_version.clone().unwrap_or_default();
            if self.sighting.as_ref().is_none_or(|sighting| sighting.version != version) {
                self.sighting = Some(Sighting { version, since: now });
            }
            let unchanged_for = self.sighting.as_ref().map_or(Duration::ZERO, |seen| now - seen.since);
            if !is_free(lease, &self.holder, unchanged_for, self.duration) {
                return Ok(None);
            }
        }
        let spec = found.as_ref().and_then(|lease| lease.spec.as_ref());
        let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        // Higher than what was seen here, too, in case somebody deleted the Lease.
        let epoch = u64::try_from(transitions).unwrap_or_default().max(self.last_epoch) + 1;
        let moment = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata: found.as_ref().map_or_else(|| self.metadata(), |lease| lease.metadata.clone()),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.clone()),
                lease_duration_seconds: Some(whole_seconds(self.duration)),
                acquire_time: Some(moment.clone()),
                renew_time: Some(moment),
                lease_transitions: Some(i32::try_from(epoch).unwrap_or(i32::MAX)),
                ..LeaseSpec::default()
            }),
        };
        let written = match found {
            Some(_) => call(self.api.replace(&self.name, &post_params(), &lease)).await?,
            None => call(self.api.create(&post_params(), &lease)).await?,
        };
        self.last_epoch = epoch;
        Ok(Some(self.held(written, epoch, now)))
    }

    /// Renews the Lease until it is lost or no longer wanted.
    async fn keep(&mut self, mut held: Held, stop: &CancellationToken) -> End {
        loop {
            tokio::select! {
                () = stop.cancelled() => return End::Stopped(Box::new(held.lease)),
                () = sleep_until(held.renew_at) => {}
            }
            let started = Instant::now();
            if started >= held.valid_until {
                return End::Lost;
            }
            match timeout_at(held.valid_until, self.renew(&held)).await {
                Ok(Ok(Some(lease))) => held = self.held(lease, held.epoch, started),
                Ok(Ok(None)) | Err(_) => return End::Lost,
                Ok(Err(error)) => {
                    tracing::warn!(reason = error.reason(), %error, "the lease is not renewed yet");
                    held.renew_at = (Instant::now() + self.duration / 15).min(held.valid_until);
                }
            }
        }
    }

    /// Writes the Lease anew; `None` if it is ours no more. A version that is not the one that we wrote is ours all the
    /// same if it names us and our epoch: an answer was lost, or somebody annotated it.
    async fn renew(&self, held: &Held) -> Result<Option<Lease>, CallError> {
        match self.write_renewal(&held.lease).await {
            Ok(lease) => return Ok(Some(lease)),
            Err(CallError::Conflict) => {}
            Err(CallError::Absent) => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(found) = call(self.api.get_opt(&self.name)).await? else { return Ok(None) };
        if holder(&found) != Some(self.holder.as_str()) || epoch(&found) != Some(held.epoch) {
            return Ok(None);
        }
        self.write_renewal(&found).await.map(Some)
    }

    async fn write_renewal(&self, lease: &Lease) -> Result<Lease, CallError> {
        let mut lease = lease.clone();
        if let Some(spec) = lease.spec.as_mut() {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        call(self.api.replace(&self.name, &post_params(), &lease)).await
    }

    /// Gives the Lease back, so that the next pod need not wait for it to run out.
    async fn release(&self, mut lease: Lease) {
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match call(self.api.replace(&self.name, &post_params(), &lease)).await {
            Ok(_) => tracing::info!("the lease is given back"),
            Err(error) => tracing::warn!(reason = error.reason(), %error, "the lease runs out by itself"),
        }
    }

    /// Ours since before it was asked for. The last third is the margin to those who count from when they saw it.
    fn held(&self, lease: Lease, epoch: u64, asked: Instant) -> Held {
        let third = self.duration / 3;
        let valid_until = asked + third * 2;
        self.tenure.set(Some((epoch, valid_until)));
        Held { lease, epoch, valid_until, renew_at: asked + third }
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        }
    }
}

/// Whether nobody has it, we had it in an earlier life, or its holder has not renewed it for as long as it promised to.
fn is_free(lease: &Lease, us: &str, unchanged_for: Duration, default: Duration) -> bool {
    let promised = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let promised =
        promised.and_then(|seconds| u64::try_from(seconds).ok()).map_or(default, Duration::from_secs);
    match holder(lease) {
        None | Some("") => true,
        Some(holder) => holder == us || unchanged_for >= promised.max(default),
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn epoch(lease: &Lease) -> Option<u64> {
    u64::try_from(lease.spec.as_ref()?.lease_transitions?).ok()
}

/// Rounded up: the API server takes whole seconds, and at least one.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
