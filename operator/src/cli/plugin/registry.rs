//! The way to a registry from a person's machine: with the credentials that Docker keeps there.

use std::{
    fs, io,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use clap::Args;
use serde::Deserialize;
use tollkeeper_core::artifact::PullFailure;
use tollkeeper_registry::{Credentials, Keyring, Reference, Registries};

use crate::{
    cli::{Failure, registry::RegistryOptions},
    settings,
};

/// How registries are reached, and with which credentials.
#[derive(Debug, Args)]
pub(super) struct Access {
    #[command(flatten)]
    options: RegistryOptions,
    /// Folder of Docker's config.json with the credentials of registries (as `docker login` writes it); by default ~/.docker.
    #[arg(long, env = "DOCKER_CONFIG", value_name = "FOLDER")]
    docker_config: Option<PathBuf>,
}

/// Helpers that have the passwords of `config.json`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Helpers {
    creds_store: String,
    cred_helpers: std::collections::BTreeMap<String, String>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Access {
    /// The client.
    pub(super) fn registries(&self) -> Result<Registries, Failure> {
        Registries::new(self.options.settings()?).map_err(Failure::new)
    }

    /// The credentials for a registry; none if Docker has no configuration.
    pub(super) fn keyring(&self, reference: &Reference) -> Result<Keyring, Failure> {
        let Some(folder) = self.docker_config.clone().or_else(settings::docker_config_folder) else {
            return Ok(Keyring::default());
        };
        let path = folder.join("config.json");
        let refused = |problem: String| Failure::new(format!("{}: {problem}", path.display()));
        let config = match fs::read(&path) {
            Ok(config) => config,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keyring::default()),
            Err(error) => return Err(refused(error.to_string())),
        };
        let mut keyring = Keyring::default();
        let helpers: Helpers = serde_json::from_slice(&config).map_err(|error| refused(error.to_string()))?;
        let own = helpers.cred_helpers.get(reference.host()).unwrap_or(&helpers.creds_store);
        if !own.is_empty()
            && let Some(credentials) = ask(own, reference.host()).map_err(refused)?
        {
            keyring.add(reference.host(), credentials);
        }
        keyring.extend(Keyring::parse(&config).map_err(refused)?);
        Ok(keyring)
    }
}

/// Asks a credential helper of Docker; one that does not know the registry answers with an error.
fn ask(helper: &str, host: &str) -> Result<Option<Credentials>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |error: io::Error| format!("the credential helper {program} cannot be run: {error}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(host.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| {
        format!("the credential helper {program} answers with something that is no credentials")
    })?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credentials::Identity(answer.secret),
        _ => Credentials::Password { user: answer.username, password: answer.secret },
    }))
}

/// Does something that takes a runtime.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?
        .block_on(work)
}

/// A failure with the reason that conditions of a product would show.
pub(super) fn refused(failure: &PullFailure) -> Failure {
    Failure::new(format!("{failure} ({})", failure.reason()))
}
