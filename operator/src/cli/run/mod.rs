//! `tollkeeper run`: the operator. Wiring only: builds the parts, starts them, ends them in order.

mod aws;
mod books;
mod health;
mod metrics;
mod plugins;
mod recording;
mod term;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_controller::{
    binding,
    events::Events,
    funnel::SharedFunnel,
    lease::{Elector, Leadership, Tenure},
    roster::Roster,
    watch::{Scope, Watched},
};
use tollkeeper_core::{clock::Clock, guard::Breaches, recording::Recorder};
use tollkeeper_ledger::marks::KeptMarks;
use tollkeeper_plugin_host::WasmHost;
use tollkeeper_registry::{Registries, Settings};

use super::{
    Failure, cluster,
    registry::{self, RegistryOptions},
};
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
    #[command(flatten)]
    registries: RegistryOptions,
    /// File with the roots of trust (trusted_root.json) that prove who has signed a plugin without a key; by default those of
    /// the public sigstore, as they were when this version was built. Nothing is ever fetched.
    #[arg(long, env = "TOLLKEEPER_TRUSTED_ROOT", value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Folder for what can be had again: plugins from registries, and compiled ones. Without it, a restart pulls and compiles
    /// them anew.
    #[arg(long, env = "TOLLKEEPER_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// Folder for the high-water mark of what has been sent: it keeps hours from being sent again after an older backup of the
    /// ledger was restored. It should outlive the pod. Without it, the mark lasts as long as the process.
    #[arg(long, env = "TOLLKEEPER_STATE_DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    keep: books::Keep,
    #[command(flatten)]
    record: recording::Record,
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
    funnel: SharedFunnel,
    products: Arc<Watched<MarketplaceProduct>>,
    bindings: Arc<Watched<LicenseBinding>>,
    events: Events,
    plugins: WasmHost,
    leadership: watch::Receiver<Leadership>,
    tenure: Arc<Tenure>,
    recorder: Option<Arc<dyn Recorder>>,
    /// What was found broken in any term of this process.
    breaches: Breaches,
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
        let plugins = self.plugins.start(self.cache_dir.as_deref())?;
        let (elector, leadership) = Elector::new(client.clone(), &lease_namespace, LEASE, &holder);
        let tenure = elector.tenure();
        let parts = Arc::new(Parts {
            clock,
            is_real_time,
            scope: self.scope(),
            roster: Arc::new(Roster::default()),
            funnel: SharedFunnel::default(),
            products: Watched::new(|_| {}),
            bindings: binding::watched(),
            events: Events::new(client.clone(), self.pod_name.clone()),
            client,
            plugins: plugins.host.clone(),
            leadership,
            tenure,
            recorder: self.record.recorder()?,
            breaches: Breaches::default(),
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
        let ended = term::lead(&parts, &self, pod_uid, &stop).await;
        electing.cancel();
        let _ = election.await;
        watching.cancel();
        let _ = watches.await;
        let _ = serving.await;
        signal.abort();
        tracing::info!("stopped");
        ended
    }

    fn artifacts(&self) -> Result<Registries, Failure> {
        let settings =
            Settings { max_component: self.plugins.max_component(), ..self.registries.settings()? };
        let mut registries = Registries::new(settings).map_err(Failure::new)?;
        if let Some(roots) = registry::roots(self.trusted_root.as_deref())? {
            registries = registries.with_roots(roots);
        }
        if let Some(folder) = &self.cache_dir {
            registries = registries.with_cache(folder.join("artifacts"));
        }
        Ok(registries)
    }

    fn marks(&self) -> Result<KeptMarks, Failure> {
        match self.state_dir.as_deref() {
            Some(folder) => KeptMarks::open(folder).map_err(Failure::new),
            None => Ok(KeptMarks::in_memory()),
        }
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
