//! etcd, the API server and the controller manager: how they are started together.

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::Api;

use crate::control_plane::client_of;
use crate::identity::write_kubeconfig;
use crate::run::Run;
use crate::server::Server;
use crate::{Failure, Program, Result, audit, crds, free_port, http_get, newest, pki};

/// The servers of one control plane.
pub(crate) struct Servers {
    all: Vec<Server>,
    etcd_url: String,
    etcd_data: PathBuf,
    kubeconfig: PathBuf,
}

impl Servers {
    fn named(&mut self, name: &str) -> Result<&mut Server> {
        let found = self.all.iter_mut().find(|server| server.name() == name);
        found.ok_or_else(|| Failure::new(format!("{name} was not started")))
    }

    /// Kills the server of this name.
    pub(crate) fn stop(&mut self, name: &str) -> Result {
        self.named(name)?.stop();
        Ok(())
    }

    /// Starts the server of this name again, and waits until it answers.
    pub(crate) async fn start_again(&mut self, name: &str) -> Result {
        let (etcd_url, kubeconfig) = (self.etcd_url.clone(), self.kubeconfig.clone());
        let server = self.named(name)?;
        server.start_again()?;
        match name {
            ETCD => server.until_ready(async || etcd_answers(&etcd_url).await).await,
            _ => server.until_ready(async || api_server_answers(&kubeconfig).await).await,
        }
    }

    /// The folder of etcd's data: while it is stopped, a copy of it is a snapshot.
    pub(crate) fn etcd_data(&self) -> &Path {
        &self.etcd_data
    }
}

pub(crate) const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";

async fn etcd_answers(url: &str) -> Result {
    match http_get(&format!("{url}/health")).await? {
        (200, _) => Ok(()),
        (status, body) => Err(Failure::new(format!("{status} {body}"))),
    }
}

async fn api_server_answers(kubeconfig: &Path) -> Result {
    let ready = http::Request::get("/readyz").body(Vec::new())?;
    client_of(kubeconfig).await?.request_text(ready).await?;
    Ok(())
}

/// Starts everything, or stops what it started.
pub(crate) async fn start(run: &Run) -> Result<Servers> {
    let mut servers = Vec::new();
    let outcome = start_servers(run, &mut servers).await;
    match outcome {
        Ok((etcd_url, etcd_data)) => {
            let kubeconfig = run.folder.join(KUBECONFIG);
            Ok(Servers { all: servers, etcd_url, etcd_data, kubeconfig })
        }
        Err(failure) => {
            servers.iter_mut().for_each(Server::stop);
            Err(failure)
        }
    }
}

/// The administrator's kubeconfig in the folder of a run.
pub(crate) const KUBECONFIG: &str = "admin.kubeconfig";

/// etcd's address and the folder of its data.
async fn start_servers(run: &Run, servers: &mut Vec<Server>) -> Result<(String, PathBuf)> {
    let (etcd, api_server) = (Program::Etcd.path()?, Program::ApiServer.path()?);
    let controllers = Program::ControllerManager.path();
    // A try that failed leaves its files for nobody to trip over.
    let folder = tempfile::Builder::new().prefix("servers-").tempdir_in(&run.folder)?.keep();
    let at = |name: &str| folder.join(name).display().to_string();
    let log = |name: &str| folder.join(format!("{name}.log"));
    pki::write(&folder)?;
    std::fs::write(folder.join("audit.yaml"), audit::POLICY)?;

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
    let server = Server::start(ETCD, &etcd, &args, log("etcd"), run.watched, Some(&run.folder))?;
    started(servers, server)?.until_ready(async || etcd_answers(&client_url).await).await?;

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
        // Strict clusters have it on: it wants a right for every owner reference that blocks a deletion.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned(),
        format!("--audit-policy-file={}", at("audit.yaml")),
        format!("--audit-log-path={}", run.folder.join(audit::LOG).display()),
        "--allow-privileged=true".to_owned(),
    ];
    if lacks_watch_progress(&version_of(&api_server, "v")?, &version_of(&etcd, "etcd Version: ")?) {
        args.push("--watch-cache=false".to_owned());
    }
    let newest = newest::program();
    if newest.is_some() {
        args.extend(newest::front_args(&folder));
    }
    let kubeconfig = run.folder.join(KUBECONFIG);
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let user = serde_json::json!({
        "client-certificate-data": crate::identity::base64(&read("admin.crt")?),
        "client-key-data": crate::identity::base64(&read("admin.key")?),
    });
    write_kubeconfig(
        &kubeconfig,
        &format!("https://127.0.0.1:{port}"),
        &read("ca.crt")?,
        user.clone(),
        "default",
    )?;
    let server = Server::start(API_SERVER, &api_server, &args, log("kube-apiserver"), run.watched, None)?;
    started(servers, server)?.until_ready(async || api_server_answers(&kubeconfig).await).await?;

    // The garbage collector learns kinds once in 30 s: those that are there before it starts, it knows at once.
    let own_crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let definitions = run.folder.join(newest::KUBECONFIG);
    match &newest {
        Some(program) => {
            let (server, port) =
                newest::start(program, &folder, &client_url, &kubeconfig, run.watched).await?;
            write_kubeconfig(
                &definitions,
                &format!("https://127.0.0.1:{port}"),
                &read("ca.crt")?,
                user,
                "default",
            )?;
            started(servers, server)?.until_ready(async || api_server_answers(&definitions).await).await?;
            crds::apply(&client_of(&definitions).await?, &own_crds).await?;
            newest::route(&kubeconfig, "tollkeeper.dev", "v1alpha1", port).await?;
        }
        None if own_crds.is_dir() => crds::apply(&client_of(&kubeconfig).await?, &own_crds).await?,
        None => {}
    }

    match controllers {
        Ok(controllers) => start_controllers(run, servers, &controllers, &folder, &kubeconfig).await?,
        Err(failure) => std::fs::write(run.folder.join("no-controllers"), failure.to_string())?,
    }
    Ok((client_url, folder.join("etcd")))
}

async fn start_controllers(
    run: &Run,
    servers: &mut Vec<Server>,
    program: &Path,
    folder: &Path,
    kubeconfig: &Path,
) -> Result {
    let port = free_port()?;
    let mut args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", folder.join("certificates").display()),
        "--leader-elect=false".to_owned(),
        // Others would clean up the pods that tests write on nodes that do not exist.
        "--controllers=garbagecollector,namespace,serviceaccount,deployment,replicaset".to_owned(),
    ];
    if version_of(program, "v")? < [1, 24, 0] {
        // Beside the secure port it has a fixed one, which another control plane on this machine may hold.
        args.push("--port=0".to_owned());
    }
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
