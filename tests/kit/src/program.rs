//! Where the programs are that tests start.

use std::path::{Path, PathBuf};

use crate::{Failure, Result};

/// A program that `make install-tests` provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The API server's store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers behind garbage collection and the end of namespaces.
    ControllerManager,
    /// Prometheus.
    Prometheus,
    /// `kubectl`.
    Kubectl,
    /// Helm.
    Helm,
    /// A Python with boto3.
    Python,
}

impl Program {
    fn variable(self) -> &'static str {
        match self {
            Self::Etcd => "TEST_ASSET_ETCD",
            Self::ApiServer => "TEST_ASSET_KUBE_APISERVER",
            Self::ControllerManager => "TEST_ASSET_KUBE_CONTROLLER_MANAGER",
            Self::Prometheus => "TOLLKEEPER_TEST_PROMETHEUS",
            Self::Kubectl => "TOLLKEEPER_TEST_KUBECTL",
            Self::Helm => "TOLLKEEPER_TEST_HELM",
            Self::Python => "TOLLKEEPER_TEST_PYTHON",
        }
    }

    /// The file's name in `KUBEBUILDER_ASSETS`, where the usual test set-ups put servers.
    fn asset(self) -> Option<&'static str> {
        match self {
            Self::Etcd => Some("etcd"),
            Self::ApiServer => Some("kube-apiserver"),
            Self::ControllerManager => Some("kube-controller-manager"),
            _ => None,
        }
    }

    /// Its path, or a failure that names what is missing.
    ///
    /// The order is that of the install scripts: its own variable, `KUBEBUILDER_ASSETS`, what they installed.
    pub fn path(self) -> Result<PathBuf> {
        let variable = self.variable();
        if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            return if path.is_file() {
                Ok(path)
            } else {
                Err(Failure::new(format!("{variable} names {}, which is no file", path.display())))
            };
        }
        let assets =
            std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        if let (Some(assets), Some(name)) = (&assets, self.asset()) {
            let path = assets.join(name);
            if path.is_file() {
                return Ok(path);
            }
            // Servers of two origins need not fit together.
            if self == Self::ControllerManager {
                return Err(missing(self, &format!("{} has none", assets.display())));
            }
        }
        let list = installed_list()?;
        let text = std::fs::read_to_string(&list)
            .map_err(|_| missing(self, &format!("{} does not exist", list.display())))?;
        let path = value_of(&text, variable)
            .ok_or_else(|| missing(self, &format!("{} lacks it", list.display())))?;
        if Path::new(path).is_file() {
            Ok(PathBuf::from(path))
        } else {
            Err(missing(self, &format!("{path} is gone")))
        }
    }
}

fn missing(program: Program, why: &str) -> Failure {
    let variable = program.variable();
    Failure::new(format!("{program:?} is missing ({why}): run `make install-tests` or set {variable}"))
}

/// The file that `tests/install/all` writes into the cache.
fn installed_list() -> Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("TOLLKEEPER_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("tollkeeper")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/tollkeeper")))
        .ok_or_else(|| Failure::new("neither TOLLKEEPER_CACHE, XDG_CACHE_HOME nor HOME is set"))?;
    Ok(cache.join("env"))
}

fn value_of<'a>(list: &'a str, variable: &str) -> Option<&'a str> {
    list.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name == variable).then(|| value.trim_matches('\''))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_list_is_read_by_name() {
        let list = "TEST_ASSET_ETCD='/somewhere else/etcd'\nTOLLKEEPER_TEST_HELM='/helm'\n";
        assert_eq!(value_of(list, "TEST_ASSET_ETCD"), Some("/somewhere else/etcd"));
        assert_eq!(value_of(list, "TOLLKEEPER_TEST_KUBECTL"), None);
    }

    #[test]
    fn a_missing_program_says_what_to_do() {
        let sentence = missing(Program::Etcd, "it was never installed").to_string();
        assert!(
            sentence.contains("Etcd is missing") && sentence.contains("make install-tests"),
            "{sentence}"
        );
    }
}
