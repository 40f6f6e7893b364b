//! An OCI registry for one test.

use std::path::{Path, PathBuf};

use reqwest::{Client, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::server::{Server, on_free_ports};
use crate::{Failure, Program, Result, free_port, pki};

/// The password of [`Registry::USER`] as bcrypt has it, the only kind that the registry reads.
const HASH: &str = "$2b$05$ZXKmraquJ0mxQqAfYPbhDeqyc9tUiXJtT6tEWHCdMS0Hmviy2tM/C";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

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
    url: String,
    client: Client,
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
            let tls = json!({"certificate": at("server.crt"), "key": at("server.key")});
            http.insert("tls".to_owned(), tls);
        }
        let mut config = serde_json::Map::from_iter([
            ("version".to_owned(), "0.1".into()),
            ("http".to_owned(), http.into()),
            (
                "storage".to_owned(),
                json!({
                    "filesystem": {"rootdirectory": at("storage")},
                    "delete": {"enabled": true},
                    "maintenance": {"uploadpurging": {"enabled": false}},
                }),
            ),
        ]);
        if door.users {
            let auth = json!({"htpasswd": {"realm": "tollkeeper-kit", "path": users}});
            config.insert("auth".to_owned(), auth);
        }
        let file = at("config.yml");
        // JSON is YAML.
        std::fs::write(&file, Value::from(config).to_string())?;
        let args = ["serve".to_owned(), file.display().to_string()];
        let log = at("registry.log");
        let server = Server::start("registry", program, &args, log, std::process::id(), Some(folder.path()))?;
        let scheme = if door.tls { "https" } else { "http" };
        let url = format!("{scheme}://{host}/v2/");
        let ca = reqwest::Certificate::from_pem(&std::fs::read(folder.path().join("ca.crt"))?)?;
        let client = Client::builder().no_proxy().tls_certs_only([ca]).build()?;
        let mut registry = Self { server, host, url, client, folder };
        registry
            .server
            .until_ready(async || match registry.client.get(&registry.url).send().await?.status().as_u16() {
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

    /// Makes bundles the signatures of a manifest, instead of those that it has: as cosign 3 does where a registry does not
    /// list what refers to a manifest.
    pub async fn attach(&self, repository: &str, manifest: &str, bundles: &[String]) -> Result {
        let signed =
            self.ask(Method::GET, &format!("{repository}/manifests/{manifest}"), MANIFEST, "").await?;
        let subject = described(MANIFEST, signed.as_bytes());
        let config = self.upload(repository, "application/vnd.oci.empty.v1+json", b"{}").await?;
        let mut referrers = Vec::new();
        for bundle in bundles {
            let layer = self.upload(repository, BUNDLE, bundle.as_bytes()).await?;
            let carrier = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
                "config": config, "layers": [layer], "subject": subject,
            })
            .to_string();
            let mut own = described(MANIFEST, carrier.as_bytes());
            let place = format!("{repository}/manifests/{}", digest_of(&own));
            self.ask(Method::PUT, &place, MANIFEST, &carrier).await?;
            own.as_object_mut().map(|own| own.insert("artifactType".to_owned(), BUNDLE.into()));
            referrers.push(own);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": referrers}).to_string();
        let place = format!("{repository}/manifests/{}", manifest.replace(':', "-"));
        self.ask(Method::PUT, &place, INDEX, &index).await.map(drop)
    }

    /// Publishes a component as tools did before the CNCF had a layout for Wasm (`wasm-to-oci`, older `oras`).
    pub async fn publish_as_of_old(&self, repository: &str, tag: &str, component: &[u8]) -> Result {
        let config = self.upload(repository, "application/vnd.wasm.config.v1+json", b"{}").await?;
        let layer = self.upload(repository, "application/vnd.wasm.content.layer.v1+wasm", component).await?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let place = format!("{repository}/manifests/{tag}");
        self.ask(Method::PUT, &place, MANIFEST, &manifest.to_string()).await.map(drop)
    }

    async fn upload(&self, repository: &str, kind: &str, bytes: &[u8]) -> Result<Value> {
        let own = described(kind, bytes);
        let begun = self.client.post(format!("{}{repository}/blobs/uploads/", self.url));
        let begun = begun.basic_auth(Self::USER, Some(Self::PASSWORD)).send().await?.error_for_status()?;
        let place = begun.headers().get("location").and_then(|place| place.to_str().ok()).unwrap_or_default();
        let mut place = begun.url().join(place)?;
        place.query_pairs_mut().append_pair("digest", digest_of(&own));
        let put = self.client.put(place);
        let put =
            put.basic_auth(Self::USER, Some(Self::PASSWORD)).header(CONTENT_TYPE, "application/octet-stream");
        put.body(bytes.to_owned()).send().await?.error_for_status()?;
        Ok(own)
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: &str) -> Result<String> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.basic_auth(Self::USER, Some(Self::PASSWORD));
        let request = request.header(CONTENT_TYPE, kind).header("accept", kind).body(body.to_owned());
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// A Docker configuration with the user's password.
    pub fn docker_config(&self) -> String {
        let auth = crate::identity::base64(&format!("{}:{}", Self::USER, Self::PASSWORD));
        json!({"auths": {&self.host: {"auth": auth}}}).to_string()
    }
}

/// The digest of what is described.
fn digest_of(described: &Value) -> &str {
    described.get("digest").and_then(Value::as_str).unwrap_or_default()
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    json!({"mediaType": kind, "size": bytes.len(), "digest": digest})
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.stop();
    }
}
