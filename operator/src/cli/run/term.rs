//! One term of leadership: what a process does while it leads, and how it notices that it does no more.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt as _;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tollkeeper_api::EvidenceSource;
use tollkeeper_controller::{
    binding,
    collect::{Clients, Collector, Limits},
    evidence::{self, Inquiry, LOOKUPS_PER_SECOND},
    funnel::CountedLedger,
    lease::{Leadership, Tenure},
    meter::{House, Meters},
    product::{Memory, ProductHouse, reconcile},
    report::{Policies, Settler, Teller, Term},
    watch::{Scope, Seen, changed_keys},
    work::run_keyed,
};
use tollkeeper_core::{
    identity::ObjectKey, ledger::Ledger, pace::Pace, plan::submission::Sender, product::Policy,
};
use tollkeeper_ledger::kubernetes::{self, KubernetesCheckpoints, KubernetesLedger};

use super::{Parts, Run, aws, books};
use crate::cli::Failure;

/// The term of one leadership: over when the lease ran out, or when the process is to end.
struct LeaderTerm {
    epoch: u64,
    tenure: Arc<Tenure>,
    ended: CancellationToken,
}

impl Term for LeaderTerm {
    fn is_current(&self) -> bool {
        !self.ended.is_cancelled() && self.tenure.covers(self.epoch)
    }
}

/// Works while this process leads, waits while it does not, until it is asked to stop.
pub(super) async fn lead(
    parts: &Arc<Parts>,
    run: &Run,
    pod_uid: Option<String>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut leadership = parts.leadership.clone();
    loop {
        let epoch = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            epoch = leads(&mut leadership) => epoch,
        };
        let term = stop.child_token();
        let lost = async {
            let _ = leadership.wait_for(|now| *now != Leadership::Leader { epoch }).await;
            term.cancel();
        };
        let work = work(parts, run, pod_uid.clone(), epoch, &term);
        let ((), ended) = futures::join!(
            async {
                tokio::select! { () = lost => {}, () = term.cancelled() => {} }
            },
            async {
                let ended = work.await;
                term.cancel();
                ended
            }
        );
        ended?;
    }
}

async fn leads(leadership: &mut watch::Receiver<Leadership>) -> u64 {
    match leadership.wait_for(|now| matches!(now, Leadership::Leader { .. })).await.map(|now| *now) {
        Ok(Leadership::Leader { epoch }) => epoch,
        // The elector has ended, which it does only when the process is to end.
        _ => std::future::pending().await,
    }
}

/// One term of leadership: reconcile, measure, settle.
async fn work(
    parts: &Arc<Parts>,
    run: &Run,
    pod_uid: Option<String>,
    epoch: u64,
    term: &CancellationToken,
) -> Result<(), Failure> {
    tokio::select! {
        () = term.cancelled() => return Ok(()),
        ((), ()) = async { futures::join!(parts.products.wait_until_ready(), parts.bindings.wait_until_ready()) } => {}
    }
    let limits = Limits::default();
    let clients = Clients::new(&limits)
        .map_err(|error| Failure::new(format!("the HTTP client cannot be made: {error}")))?;
    let ledger_scope = match &parts.scope {
        Scope::Cluster => kubernetes::Scope::Cluster,
        Scope::Namespaces(names) => kubernetes::Scope::Namespaces(names.clone()),
    };
    let stored = KubernetesLedger::new(parts.client.clone(), ledger_scope.clone(), parts.clock.clone());
    let ledger: Arc<dyn Ledger> = Arc::new(CountedLedger::new(Arc::new(stored), parts.funnel.clone()));
    // Anew in every term: another pod may have written to the volume since.
    let marks = Arc::new(run.marks()?);
    let sealed = Arc::new(Notify::new());
    let house = House {
        cluster: String::new(),
        clock: parts.clock.clone(),
        inputs: Arc::new(Collector::new(parts.client.clone(), clients, limits)),
        ledger: ledger.clone(),
        marks: marks.clone(),
        checkpoints: Arc::new(checkpoints(parts)),
    };
    let meters =
        Arc::new(Meters::new(house, parts.roster.clone(), sealed.clone()).recording(parts.recorder.clone()));
    let products = Arc::new(ProductHouse {
        client: parts.client.clone(),
        clock: parts.clock.clone(),
        products: parts.products.clone(),
        bindings: parts.bindings.clone(),
        host: Arc::new(parts.plugins.clone()),
        artifacts: Arc::new(run.artifacts()?),
        meters: meters.clone(),
        ledger: ledger.clone(),
        roster: parts.roster.clone(),
        events: parts.events.clone(),
        memory: Memory::default(),
    });
    let settle = async {
        let Some(aws) = aws::connect(parts, run, pod_uid, term).await else { return };
        let inquiry = Inquiry {
            clock: parts.clock.clone(),
            ledger: ledger.clone(),
            trail: aws.trail,
            pace: Arc::new(Pace::new(parts.clock.clone(), LOOKUPS_PER_SECOND)),
        };
        let teller = Teller {
            clock: parts.clock.clone(),
            ledger: ledger.clone(),
            metering: aws.metering,
            pace: Arc::new(Pace::meter_usage(parts.clock.clone())),
            marks: marks.clone(),
            term: Arc::new(LeaderTerm { epoch, tenure: parts.tenure.clone(), ended: term.clone() }),
        };
        let settler = Settler::new(Sender { pod: aws.pod, epoch }).remembering(parts.breaches.clone());
        futures::join!(
            tollkeeper_controller::report::run(
                settler,
                teller,
                || policies(parts),
                &parts.roster,
                &sealed,
                term,
            ),
            evidence::run(inquiry, || with_evidence(parts), &parts.roster, term),
        );
    };
    let reconcile_products = run_keyed(
        "products",
        parts.clock.as_ref(),
        wakes_of_products(parts),
        |key| {
            let products = products.clone();
            async move { reconcile(key, &products).await }
        },
        term,
    );
    let keeper = binding::House {
        client: parts.client.clone(),
        clock: parts.clock.clone(),
        roster: parts.roster.clone(),
        ledger: ledger.clone(),
        events: parts.events.clone(),
        bindings: parts.bindings.clone(),
        products: parts.products.clone(),
    };
    let keep = books::keep(parts, run.keep, &ledger, ledger_scope, term);
    futures::join!(settle, reconcile_products, binding::run(&keeper, term), keep);
    meters.stop().await;
    parts.funnel.lock().hand_over();
    Ok(())
}

/// Under a test clock the API server lives at another time, and is not asked for it.
fn checkpoints(parts: &Parts) -> KubernetesCheckpoints {
    let checkpoints = KubernetesCheckpoints::new(parts.client.clone(), parts.clock.clone());
    if parts.is_real_time { checkpoints } else { checkpoints.without_time() }
}

/// What every product has decided in advance, metered or not.
fn policies(parts: &Parts) -> Policies {
    let unseen: Vec<String> = match &parts.scope {
        Scope::Cluster => vec![],
        Scope::Namespaces(names) => {
            names.iter().filter(|name| !parts.products.is_listed(name)).cloned().collect()
        }
    };
    let products = parts.products.all().into_iter();
    let policies: Policies = products
        .filter_map(|(key, seen)| match seen {
            Seen::Object(product) => {
                let policy = &product.spec.policy;
                Some((key, Policy { ambiguous: policy.ambiguous, late: policy.late }))
            }
            Seen::Undecodable(_) => None,
        })
        .collect();
    policies.without(unseen)
}

/// Products of which a buyer allows to look for evidence: those that a binding with `spec.evidence` names.
fn with_evidence(parts: &Parts) -> BTreeSet<ObjectKey> {
    let bindings = parts.bindings.all().into_iter();
    bindings
        .filter_map(|(key, seen)| match seen {
            Seen::Object(binding) => binding.spec.evidence.map(|EvidenceSource::CloudTrail| {
                ObjectKey::new(key.namespace, binding.spec.product_ref.name.clone())
            }),
            Seen::Undecodable(_) => None,
        })
        .collect()
}

/// A product is looked at when it changes, when one of its bindings does, when another product does (they may share a
/// code), and when its meter or the settler has something new to say.
fn wakes_of_products(parts: &Arc<Parts>) -> impl futures::Stream<Item = ObjectKey> + Send + 'static {
    let all = {
        let products = parts.products.clone();
        move || products.keys()
    };
    let of_products = {
        let products = parts.products.clone();
        parts.products.changes().flat_map(move |changed| {
            let mut keys = products.keys();
            keys.push(changed);
            futures::stream::iter(keys)
        })
    };
    let of_bindings = {
        let all = all.clone();
        parts.bindings.changes().flat_map(move |binding| {
            let same_namespace = all().into_iter().filter(move |key| key.namespace == binding.namespace);
            futures::stream::iter(same_namespace.collect::<Vec<_>>())
        })
    };
    let of_roster = changed_keys(parts.roster.changes(), all);
    futures::stream::select(futures::stream::select(of_products, of_bindings), of_roster)
}
