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
    /// An OCI registry.
    Registry,
    /// Node.js with sigstore's libraries.
    Sigstore,
    /// `kubectl`.
    Kubectl,
    /// Helm.
    Helm,
    /// A Python with boto3.
    Python,
    /// Our own binary, as `cargo` built it beside the tests.
    Tollkeeper,
}

impl Program {
    fn variable(self) -> &'static str {
        match self {
            Self::Etcd => "TEST_ASSET_ETCD",
            Self::ApiServer => "TEST_ASSET_KUBE_APISERVER",
            Self::ControllerManager => "TEST_ASSET_KUBE_CONTROLLER_MANAGER",
            Self::Prometheus => "TOLLKEEPER_TEST_PROMETHEUS",
            Self::Registry => "TOLLKEEPER_TEST_REGISTRY",
            Self::Sigstore => "TOLLKEEPER_TEST_SIGSTORE",
            Self::Kubectl => "TOLLKEEPER_TEST_KUBECTL",
            Self::Helm => "TOLLKEEPER_TEST_HELM",
            Self::Python => "TOLLKEEPER_TEST_PYTHON",
            Self::Tollkeeper => "TOLLKEEPER_TEST_BINARY",
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
        if let Some(path) = path_in(variable) {
            return if path.is_file() {
                Ok(path)
            } else {
                Err(Failure::new(format!("{variable} names {}, which is no file", path.display())))
            };
        }
        if self == Self::Tollkeeper {
            return built_beside_the_test();
        }
        // Servers of two origins need not fit together.
        if self == Self::ControllerManager && path_in(Self::ApiServer.variable()).is_some() {
            return Err(missing(self, "the API server is one that the environment names"));
        }
        if let (Some(assets), Some(name)) = (path_in("KUBEBUILDER_ASSETS"), self.asset()) {
            let path = assets.join(name);
            if path.is_file() {
                return Ok(path);
            }
            if self == Self::ControllerManager {
                return Err(missing(self, &format!("{} has none", assets.display())));
            }
        }
        let list = installed_list()?;
        let text = std::fs::read_to_string(&list)
            .map_err(|_| missing(self, &format!("{} does not exist", list.display())))?;
        match value_of(&text, variable).map(Path::new) {
            Some(path) if path.is_file() => Ok(path.to_owned()),
            Some(path) => Err(missing(self, &format!("{} is gone", path.display()))),
            None => Err(missing(self, &format!("{} lacks it", list.display()))),
        }
    }
}

/// The path that a variable of the environment holds, if it holds anything.
fn path_in(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn missing(program: Program, why: &str) -> Failure {
    let variable = program.variable();
    Failure::new(format!("{program:?} is missing ({why}): run `make install-tests` or set {variable}"))
}

/// A test lies in `deps`, one folder below the binaries of its profile.
fn built_beside_the_test() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let path = test.ancestors().nth(2).map(|profile| profile.join("tollkeeper")).unwrap_or_default();
    if path.is_file() {
        Ok(path)
    } else {
        Err(Failure::new(format!(
            "{} is not built: run `cargo build --workspace --bins --tests`",
            path.display()
        )))
    }
}

/// The file that `tests/install/all` writes into the cache.
fn installed_list() -> Result<PathBuf> {
    let cache = path_in("TOLLKEEPER_CACHE")
        .or_else(|| path_in("XDG_CACHE_HOME").map(|cache| cache.join("tollkeeper")))
        .or_else(|| path_in("HOME").map(|home| home.join(".cache/tollkeeper")))
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
