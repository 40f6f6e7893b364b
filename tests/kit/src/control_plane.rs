//! What tests have of a control plane: clients, namespaces, a kubeconfig.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::{Mutex, OnceCell};

use crate::run::Run;
use crate::server::on_free_ports;
use crate::servers::{self, KUBECONFIG, Servers};
use crate::{Failure, Result, crds, newest, wait_until};

/// A running control plane: RBAC is on, the repository's CRDs are installed, and nothing schedules or runs pods.
///
/// Of the controllers run those for garbage collection, namespaces, service accounts, deployments and replica sets.
pub struct ControlPlane {
    pub(crate) run: Run,
    /// Of one that is for a test alone.
    pub(crate) servers: Option<Mutex<Servers>>,
}

impl ControlPlane {
    /// The control plane of this test run; the first caller starts it.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || {
                let run = Run::current()?;
                run.once("control-plane", async || start(&run).await.map(drop)).await?;
                Ok(Self { run, servers: None })
            })
            .await
    }

    /// A control plane for this test alone, for what the others would notice; it ends with the test's process.
    pub async fn alone() -> Result<&'static Self> {
        let run = Run::alone()?;
        let servers = Some(Mutex::new(start(&run).await?));
        Ok(Box::leak(Box::new(Self { run, servers })))
    }

    /// A client that may do everything.
    ///
    /// A new one at each call: a client belongs to the runtime that made it, and every test has its own.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig()).await
    }

    /// A client for the server that has the CRDs: the API server, unless a newer one serves them.
    pub async fn definitions(&self) -> Result<Client> {
        let other = self.run.folder.join(newest::KUBECONFIG);
        client_of(&if other.is_file() { other } else { self.kubeconfig() }).await
    }

    /// The kubeconfig file of the client that may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.run.folder.join(KUBECONFIG)
    }

    /// A new namespace; its name is `prefix` and a random part.
    ///
    /// Nobody needs to delete it, it ends with the run.
    pub async fn namespace(&'static self, prefix: &str) -> Result<Namespace> {
        let client = self.client().await?;
        let wanted = NamespaceObject {
            metadata: ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() },
            ..NamespaceObject::default()
        };
        let made = Api::all(client.clone()).create(&PostParams::default(), &wanted).await?;
        let name = made
            .metadata
            .name
            .ok_or_else(|| Failure::new("the API server made a namespace without a name"))?;
        Ok(Namespace { name, client, control_plane: self })
    }

    /// Fails where no controller manager was found, so that garbage collection would never happen.
    pub fn needs_controllers(&self) -> Result {
        let missing = self.run.folder.join("no-controllers");
        match std::fs::read_to_string(missing) {
            Ok(sentence) => Err(Failure::new(sentence)),
            Err(_) => Ok(()),
        }
    }

    /// Creates or replaces every CRD in the YAML files of `folder`, and waits until the API server serves them.
    ///
    /// Those of the repository's `crds/` are installed from the start.
    pub async fn apply_crds(&self, folder: &Path) -> Result {
        crds::apply(&self.client().await?, folder).await
    }
}

/// A namespace of one test.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    client: Client,
    control_plane: &'static ControlPlane,
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client that may do everything, for this test's runtime.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of a kind in this namespace, with every permission.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// The control plane that it is in.
    pub fn control_plane(&self) -> &'static ControlPlane {
        self.control_plane
    }
}

async fn start(run: &Run) -> Result<Servers> {
    on_free_ports(async || servers::start(run).await)
        .await
        .map_err(|failure| failure.while_doing("the control plane did not start"))
}

pub(crate) async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let (file, options) = (Kubeconfig::read_from(kubeconfig)?, KubeConfigOptions::default());
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &options).await?)?)
}

/// How long a test waits for the control plane to do its part.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for an answer of the API server.
pub(crate) async fn until<T>(description: impl Display, ask: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    wait_until(description, PATIENCE, ask).await
}
