//! A Prometheus for one test.

use std::path::Path;

use tempfile::TempDir;

use crate::server::{Server, on_free_ports};
use crate::{Failure, Program, Result, free_port, http_get};

/// A running Prometheus; it ends when this is dropped.
pub struct Prometheus {
    server: Server,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one with this configuration (the YAML of `prometheus.yml`).
    pub async fn start(config: &str) -> Result<Self> {
        let program = Program::Prometheus.path()?;
        on_free_ports(async || Self::start_on(free_port()?, &program, config).await).await
    }

    async fn start_on(port: u16, program: &Path, config: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (file, data) = (folder.path().join("prometheus.yml"), folder.path().join("data"));
        std::fs::write(&file, config)?;
        let args = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let log = folder.path().join("prometheus.log");
        let server =
            Server::start("prometheus", program, &args, log, std::process::id(), Some(folder.path()))?;
        let mut prometheus = Self { server, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        let ready = format!("{}/-/ready", prometheus.url);
        prometheus
            .server
            .until_ready(async || match http_get(&ready).await? {
                (200, _) => Ok(()),
                (status, body) => Err(Failure::new(format!("{status} {body}"))),
            })
            .await?;
        Ok(prometheus)
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.server.stop();
    }
}
