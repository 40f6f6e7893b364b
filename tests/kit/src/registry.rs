//! An OCI registry for one test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::server::{Server, on_free_ports};
use crate::{Failure, Program, Result, free_port, pki};

/// The password of [`Registry::USER`] as bcrypt has it, the only kind that the registry reads.
const HASH: &str = "$2b$05$ZXKmraquJ0mxQqAfYPbhDeqyc9tUiXJtT6tEWHCdMS0Hmviy2tM/C";

/// How a registry lets people in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Door {
    /// By TLS, with a certificate of an authority that nobody knows.
    pub tls: bool,
    /// By name and password only.
    pub users: bool,
}

/// A running registry; it ends when this is dropped.
pub struct Registry {
    server: Server,
    host: String,
    folder: TempDir,
}

impl Registry {
    /// Who is let in where there are users.
    pub const USER: &str = "vendor";
    /// The password.
    pub const PASSWORD: &str = "open sesame";

    /// Starts an empty one.
    pub async fn start(door: Door) -> Result<Self> {
        let program = Program::Registry.path()?;
        on_free_ports(async || Self::start_on(free_port()?, &program, door).await).await
    }

    async fn start_on(port: u16, program: &Path, door: Door) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        pki::write(folder.path())?;
        let users = folder.path().join("htpasswd");
        std::fs::write(&users, format!("{}:{HASH}\n", Self::USER))?;
        let at = |name: &str| folder.path().join(name);
        let host = format!("127.0.0.1:{port}");
        let mut http = serde_json::Map::from_iter([("addr".to_owned(), host.as_str().into())]);
        if door.tls {
            let tls = serde_json::json!({"certificate": at("server.crt"), "key": at("server.key")});
            http.insert("tls".to_owned(), tls);
        }
        let mut config = serde_json::Map::from_iter([
            ("version".to_owned(), "0.1".into()),
            ("http".to_owned(), http.into()),
            (
                "storage".to_owned(),
                serde_json::json!({
                    "filesystem": {"rootdirectory": at("storage")},
                    "delete": {"enabled": true},
                    "maintenance": {"uploadpurging": {"enabled": false}},
                }),
            ),
        ]);
        if door.users {
            let auth = serde_json::json!({"htpasswd": {"realm": "tollkeeper-kit", "path": users}});
            config.insert("auth".to_owned(), auth);
        }
        let file = at("config.yml");
        // JSON is YAML.
        std::fs::write(&file, serde_json::Value::from(config).to_string())?;
        let args = ["serve".to_owned(), file.display().to_string()];
        let log = at("registry.log");
        let server = Server::start("registry", program, &args, log, std::process::id(), Some(folder.path()))?;
        let mut registry = Self { server, host, folder };
        let scheme = if door.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}/v2/", registry.host);
        let ca = reqwest::Certificate::from_pem(&std::fs::read(registry.authority())?)?;
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build()?;
        registry
            .server
            .until_ready(async || match client.get(&url).send().await?.status().as_u16() {
                200 | 401 => Ok(()),
                status => Err(Failure::new(format!("{status}"))),
            })
            .await?;
        Ok(registry)
    }

    /// Its host and port, as references have it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of the authority that signed its own, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// The file with the bytes of a blob, by its digest: for those who tamper with it.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let beginning = hex.get(..2).unwrap_or_default();
        self.folder.path().join(format!("storage/docker/registry/v2/blobs/sha256/{beginning}/{hex}/data"))
    }

    /// A Docker configuration with the user's password.
    pub fn docker_config(&self) -> String {
        let auth = crate::identity::base64(&format!("{}:{}", Self::USER, Self::PASSWORD));
        serde_json::json!({"auths": {&self.host: {"auth": auth}}}).to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.stop();
    }
}
