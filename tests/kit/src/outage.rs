//! Taking a server of a control plane away, and etcd back in time. Only of one that is for a test alone.

use std::path::Path;
use std::process::Command;

use tokio::sync::MutexGuard;

use crate::servers::{API_SERVER, ETCD, Servers};
use crate::{ControlPlane, Failure, Result};

/// A server that a test may take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Etcd => ETCD,
            Self::ApiServer => API_SERVER,
        }
    }
}

impl ControlPlane {
    /// Kills a server, as `kill -9` does.
    pub async fn stop(&self, part: Part) -> Result {
        self.own().await?.stop(part.name())
    }

    /// Starts it again where it was, and waits until it answers.
    pub async fn start_again(&self, part: Part) -> Result {
        self.own().await?.start_again(part.name()).await
    }

    /// Copies what etcd holds into `folder`, which must not exist. Stop etcd before, so that the copy is whole.
    pub async fn keep_etcd(&self, folder: &Path) -> Result {
        copy(self.own().await?.etcd_data(), folder)
    }

    /// Puts back what was copied. Stop etcd and the API server before: the latter remembers what is then in the future.
    pub async fn restore_etcd(&self, folder: &Path) -> Result {
        let servers = self.own().await?;
        std::fs::remove_dir_all(servers.etcd_data())?;
        copy(folder, servers.etcd_data())
    }

    async fn own(&self) -> Result<MutexGuard<'_, Servers>> {
        match &self.servers {
            Some(servers) => Ok(servers.lock().await),
            None => Err(Failure::new("other tests have this control plane too: take ControlPlane::alone")),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output()?;
    if output.status.success() { Ok(()) } else { Err(Failure::new(String::from_utf8_lossy(&output.stderr))) }
}
