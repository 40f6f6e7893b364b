//! `tollkeeper run`: the operator. Wiring only: builds the parts, starts them, ends them in order.

mod aws;
mod health;
mod metrics;
mod plugins;

use std::{net::SocketAddr, sync::Arc};

use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_controller::{
    binding,
    collect::{Clients, Collector, Limits},
    events::Events,
    lease::{Elector, Leadership, Tenure},
    meter::{House, Meters},
    product::{Memory, ProductHouse, reconcile},
    report::{Policies, Settler, Teller, Term},
    roster::Roster,
    watch::{Scope, Seen, Watched, changed_keys},
    work::run_keyed,
};
use tollkeeper_core::{clock::Clock, pace::Pace, plan::submission::Sender, product::Policy};
use tollkeeper_ledger::kubernetes::{self, KubernetesCheckpoints, KubernetesLedger};
use tollkeeper_plugin_host::WasmHost;

use super::{Failure, cluster};
use crate::{clock, settings};

/// Name of the lease; the chart's Role grants this one only.
const LEASE: &str = "tollkeeper";

/// Run the operator.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Namespaces to watch, separated by commas; all of them by default.
    #[arg(long, env = "TOLLKEEPER_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Where the ledger is kept.
    #[arg(long, env = "TOLLKEEPER_LEDGER", default_value = "kubernetes")]
    ledger: LedgerKind,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "TOLLKEEPER_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Credentials that may send usage. AWS takes it from EKS pods with IRSA (web identity) only; `any` is for tests.
    #[arg(long, env = "TOLLKEEPER_ALLOW_CREDENTIALS", default_value = "web-identity")]
    allow_credentials: Credentials,
    /// UID of this pod, which AWS deduplicates by; the chart takes it from the downward API.
    #[arg(long, env = "TOLLKEEPER_POD_UID")]
    pod_uid: Option<String>,
    /// Name of this pod, for events and the lease.
    #[arg(long, env = "TOLLKEEPER_POD_NAME")]
    pod_name: Option<String>,
    /// Namespace of this pod, where the lease is; by default the one of the current context.
    #[arg(long, env = "TOLLKEEPER_POD_NAMESPACE")]
    pod_namespace: Option<String>,
    /// How log lines look.
    #[arg(long, env = "TOLLKEEPER_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    plugins: plugins::Plugins,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LedgerKind {
    Kubernetes,
    Dynamodb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Credentials {
    WebIdentity,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What the parts share.
pub(super) struct Parts {
    clock: Arc<dyn Clock>,
    /// Whether that clock is the machine's.
    is_real_time: bool,
    client: Client,
    scope: Scope,
    roster: Arc<Roster>,
    products: Arc<Watched<MarketplaceProduct>>,
    bindings: Arc<Watched<LicenseBinding>>,
    events: Events,
    plugins: WasmHost,
    leadership: watch::Receiver<Leadership>,
    tenure: Arc<Tenure>,
}

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

impl Run {
    pub(crate) fn run(self) -> Result<(), Failure> {
        super::log::start(self.log_format == LogFormat::Json);
        if self.ledger == LedgerKind::Dynamodb {
            return Err(Failure::new(
                "--ledger dynamodb is for SaaS products and not part of this version; use kubernetes",
            ));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?;
        runtime.block_on(self.operate())
    }

    async fn operate(self) -> Result<(), Failure> {
        let test_clock = settings::test_clock_of_a_caller().map_err(Failure::new)?;
        if let Some(test) = &test_clock {
            tracing::warn!(
                ?test,
                "TEST CLOCK: this process does not live in real time and must not meter for real"
            );
        }
        let is_real_time = test_clock.is_none();
        let clock = clock::of_process(test_clock);
        let stop = CancellationToken::new();
        let (client, namespace) = cluster::client().await?;
        let lease_namespace = self.pod_namespace.clone().unwrap_or(namespace);
        let pod_uid = self.pod_uid.clone().filter(|uid| !uid.is_empty());
        let holder = format!(
            "{}/{}",
            self.pod_name.as_deref().unwrap_or("tollkeeper"),
            pod_uid.as_deref().unwrap_or("no-uid")
        );
        let plugins = self.plugins.start()?;
        let (elector, leadership) = Elector::new(client.clone(), &lease_namespace, LEASE, &holder);
        let tenure = elector.tenure();
        let parts = Arc::new(Parts {
            clock,
            is_real_time,
            scope: self.scope(),
            roster: Arc::new(Roster::default()),
            products: Watched::new(|_| {}),
            bindings: binding::watched(),
            events: Events::new(client.clone(), self.pod_name.clone()),
            client,
            plugins: plugins.host.clone(),
            leadership,
            tenure,
        });
        let listener = tokio::net::TcpListener::bind(self.listen)
            .await
            .map_err(|error| Failure::new(format!("{} cannot be listened on: {error}", self.listen)))?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %self.listen, scope = ?parts.scope, "tollkeeper starts");

        let watching = CancellationToken::new();
        let electing = CancellationToken::new();
        let watches = tokio::spawn(watch_kinds(parts.clone(), watching.clone()));
        let election = tokio::spawn(elector.run(electing.clone()));
        let serving = tokio::spawn(health::serve(listener, parts.clone(), watching.clone()));
        let signal = tokio::spawn({
            let stop = stop.clone();
            async move {
                super::stop_signal().await;
                tracing::info!("asked to stop: what is being sent is finished first");
                stop.cancel();
            }
        });
        let ended = lead(&parts, &self, pod_uid, &stop).await;
        electing.cancel();
        let _ = election.await;
        watching.cancel();
        let _ = watches.await;
        let _ = serving.await;
        signal.abort();
        tracing::info!("stopped");
        ended
    }

    fn scope(&self) -> Scope {
        let named: Vec<String> = self.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
        if named.is_empty() { Scope::Cluster } else { Scope::Namespaces(named) }
    }
}

async fn watch_kinds(parts: Arc<Parts>, stop: CancellationToken) {
    futures::join!(
        parts.products.run(&parts.client, &parts.scope, &stop),
        parts.bindings.run(&parts.client, &parts.scope, &stop)
    );
}

/// Works while this process leads, waits while it does not, until it is asked to stop.
async fn lead(
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
    let ledger = Arc::new(KubernetesLedger::new(parts.client.clone(), ledger_scope, parts.clock.clone()));
    let sealed = Arc::new(Notify::new());
    let house = House {
        cluster: String::new(),
        clock: parts.clock.clone(),
        inputs: Arc::new(Collector::new(parts.client.clone(), clients, limits)),
        ledger: ledger.clone(),
        checkpoints: Arc::new(checkpoints(parts)),
    };
    let meters = Arc::new(Meters::new(house, parts.roster.clone(), sealed.clone()));
    let products = Arc::new(ProductHouse {
        client: parts.client.clone(),
        clock: parts.clock.clone(),
        products: parts.products.clone(),
        bindings: parts.bindings.clone(),
        host: Arc::new(parts.plugins.clone()),
        meters: meters.clone(),
        roster: parts.roster.clone(),
        events: parts.events.clone(),
        memory: Memory::default(),
    });
    let settle = async {
        let (metering, sender) = match aws::connect(parts, run, pod_uid, term).await {
            Some((metering, pod)) => (metering, Sender { pod, epoch }),
            None => return,
        };
        let teller = Teller {
            clock: parts.clock.clone(),
            ledger: ledger.clone(),
            metering,
            pace: Arc::new(Pace::meter_usage(parts.clock.clone())),
            term: Arc::new(LeaderTerm { epoch, tenure: parts.tenure.clone(), ended: term.clone() }),
        };
        tollkeeper_controller::report::run(
            Settler::new(sender),
            teller,
            || policies(parts),
            &parts.roster,
            &sealed,
            term,
        )
        .await;
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
    futures::join!(settle, reconcile_products, binding::run(&keeper, term));
    meters.stop().await;
    Ok(())
}

/// Under a test clock the API server lives at another time, and is not asked for it.
fn checkpoints(parts: &Parts) -> KubernetesCheckpoints {
    let checkpoints = KubernetesCheckpoints::new(parts.client.clone(), parts.clock.clone());
    if parts.is_real_time { checkpoints } else { checkpoints.without_time() }
}

/// What every product has decided in advance, metered or not.
fn policies(parts: &Parts) -> Policies {
    let products = parts.products.all().into_iter();
    products
        .filter_map(|(key, seen)| match seen {
            Seen::Object(product) => {
                let policy = &product.spec.policy;
                Some((key, Policy { ambiguous: policy.ambiguous, late: policy.late }))
            }
            Seen::Undecodable(_) => None,
        })
        .collect()
}

/// A product is looked at when it changes, when one of its bindings does, when another product does (they may share a
/// code), and when its meter or the settler has something new to say.
fn wakes_of_products(
    parts: &Arc<Parts>,
) -> impl futures::Stream<Item = tollkeeper_core::identity::ObjectKey> + Send + 'static {
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
