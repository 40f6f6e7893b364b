//! etcd, the API server and the controller manager, once a test run.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use crate::identity::write_kubeconfig;
use crate::run::Run;
use crate::server::{Server, on_free_ports};
use crate::{Failure, Program, Result, crds, free_port, http_get, pki, wait_until};

/// A running control plane: RBAC is on, the repository's CRDs are installed, and nothing schedules or runs pods.
///
/// Of the controllers run those for garbage collection, namespaces, service accounts, deployments and replica sets.
pub struct ControlPlane {
    pub(crate) run: Run,
}

impl ControlPlane {
    /// The control plane of this test run; the first caller starts it.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || {
                let run = Run::current()?;
                run.once("control-plane", async || {
                    on_free_ports(async || start(&run).await)
                        .await
                        .map_err(|failure| failure.while_doing("the control plane did not start"))
                })
                .await?;
                Ok(Self { run })
            })
            .await
    }

    /// A client that may do everything.
    ///
    /// A new one at each call: a client belongs to the runtime that made it, and every test has its own.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig()).await
    }

    /// The kubeconfig file of that client.
    pub fn kubeconfig(&self) -> PathBuf {
        self.run.folder.join("admin.kubeconfig")
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

pub(crate) async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let (file, options) = (Kubeconfig::read_from(kubeconfig)?, KubeConfigOptions::default());
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &options).await?)?)
}

/// Starts everything, or stops what it started.
async fn start(run: &Run) -> Result {
    let mut servers = Vec::new();
    let outcome = start_servers(run, &mut servers).await;
    if outcome.is_err() {
        servers.iter_mut().for_each(Server::stop);
    }
    outcome
}

async fn start_servers(run: &Run, servers: &mut Vec<Server>) -> Result {
    let (etcd, api_server) = (Program::Etcd.path()?, Program::ApiServer.path()?);
    let controllers = Program::ControllerManager.path();
    // A try that failed leaves its files for nobody to trip over.
    let folder = tempfile::Builder::new().prefix("servers-").tempdir_in(&run.folder)?.keep();
    let at = |name: &str| folder.join(name).display().to_string();
    let log = |name: &str| folder.join(format!("{name}.log"));
    pki::write(&folder)?;

    let (client_port, peer_port) = (free_port()?, free_port()?);
    let (client_url, peer_url) =
        (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
    let args = [
        format!("--data-dir={}", at("etcd")),
        format!("--listen-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
        "--log-level=error".to_owned(),
    ];
    // The folder goes with etcd: everything else is useless without it.
    let server = Server::start("etcd", &etcd, &args, log("etcd"), run.watched, Some(&run.folder))?;
    started(servers, server)?
        .until_ready(async || match http_get(&format!("{client_url}/health")).await? {
            (200, _) => Ok(()),
            (status, body) => Err(Failure::new(format!("{status} {body}"))),
        })
        .await?;

    let port = free_port()?;
    let mut args = vec![
        format!("--etcd-servers={client_url}"),
        "--bind-address=127.0.0.1".to_owned(),
        // Without these two it asks the machine for an outer address, and a machine may have none.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", at("certificates")),
        format!("--tls-cert-file={}", at("server.crt")),
        format!("--tls-private-key-file={}", at("server.key")),
        format!("--client-ca-file={}", at("ca.crt")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", at("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", at("service-accounts.key")),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // Tests write pods of service accounts that nobody made.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if lacks_watch_progress(&version_of(&api_server, "v")?, &version_of(&etcd, "etcd Version: ")?) {
        args.push("--watch-cache=false".to_owned());
    }
    let kubeconfig = run.folder.join("admin.kubeconfig");
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let user = serde_json::json!({
        "client-certificate-data": crate::identity::base64(&read("admin.crt")?),
        "client-key-data": crate::identity::base64(&read("admin.key")?),
    });
    write_kubeconfig(&kubeconfig, &format!("https://127.0.0.1:{port}"), &read("ca.crt")?, user, "default")?;
    let server =
        Server::start("kube-apiserver", &api_server, &args, log("kube-apiserver"), run.watched, None)?;
    started(servers, server)?
        .until_ready(async || {
            let ready = http::Request::get("/readyz").body(Vec::new())?;
            client_of(&kubeconfig).await?.request_text(ready).await?;
            Ok(())
        })
        .await?;

    // The garbage collector learns kinds once in 30 s: those that are there before it starts, it knows at once.
    let own_crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    if own_crds.is_dir() {
        crds::apply(&client_of(&kubeconfig).await?, &own_crds).await?;
    }

    match controllers {
        Ok(controllers) => start_controllers(run, servers, &controllers, &folder, &kubeconfig).await,
        Err(failure) => {
            std::fs::write(run.folder.join("no-controllers"), failure.to_string())?;
            Ok(())
        }
    }
}

async fn start_controllers(
    run: &Run,
    servers: &mut Vec<Server>,
    program: &Path,
    folder: &Path,
    kubeconfig: &Path,
) -> Result {
    let port = free_port()?;
    let args = [
        format!("--kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", folder.join("certificates").display()),
        "--leader-elect=false".to_owned(),
        // Others would clean up the pods that tests write on nodes that do not exist.
        "--controllers=garbagecollector,namespace,serviceaccount,deployment,replicaset".to_owned(),
    ];
    let log = folder.join("kube-controller-manager.log");
    let server = Server::start("kube-controller-manager", program, &args, log, run.watched, None)?;
    let client = client_of(kubeconfig).await?;
    started(servers, server)?
        .until_ready(async || {
            // Every controller starts together with this one, whose work can be seen.
            let accounts =
                Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(client.clone(), "default");
            accounts.get("default").await?;
            Ok(())
        })
        .await
}

fn started(servers: &mut Vec<Server>, server: Server) -> Result<&mut Server> {
    servers.push(server);
    servers.last_mut().ok_or_else(|| Failure::new("no server was started"))
}

/// Major, minor and patch, as the program's `--version` says them after `before`.
fn version_of(program: &Path, before: &str) -> Result<[u32; 3]> {
    let output = Command::new(program).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text, before)
        .ok_or_else(|| Failure::new(format!("{} does not say its version: {text}", program.display())))
}

fn parse_version(text: &str, before: &str) -> Option<[u32; 3]> {
    let mut numbers = text.split_once(before)?.1.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// From 1.31 on the API server's cache asks etcd for watch progress, which an older etcd answers with an error.
fn lacks_watch_progress(api_server: &[u32; 3], etcd: &[u32; 3]) -> bool {
    let etcd_can = *etcd >= [3, 5, 13] || (*etcd >= [3, 4, 31] && *etcd < [3, 5, 0]);
    *api_server >= [1, 31, 0] && !etcd_can
}

/// How long a test waits for the control plane to do its part.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for an answer of the API server.
pub(crate) async fn until<T>(description: impl Display, ask: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    wait_until(description, PATIENCE, ask).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        assert_eq!(parse_version("Kubernetes v1.20.2\n", "v"), Some([1, 20, 2]));
        assert_eq!(parse_version("Kubernetes v1.36.0-rc.1\n", "v"), Some([1, 36, 0]));
        assert_eq!(parse_version("etcd Version: 3.4.23\nGit SHA: x\n", "etcd Version: "), Some([3, 4, 23]));
        assert_eq!(parse_version("no version", "v"), None);
    }

    #[test]
    fn the_watch_cache_is_off_only_for_a_new_server_on_an_old_etcd() {
        assert!(lacks_watch_progress(&[1, 36, 0], &[3, 4, 23]));
        assert!(lacks_watch_progress(&[1, 31, 0], &[3, 5, 12]));
        assert!(!lacks_watch_progress(&[1, 36, 0], &[3, 5, 13]));
        assert!(!lacks_watch_progress(&[1, 36, 0], &[3, 4, 31]));
        assert!(!lacks_watch_progress(&[1, 20, 2], &[3, 4, 23]));
    }
}
