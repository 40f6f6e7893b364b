//! Credentials as Docker keeps them, and which of them a repository gets.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// Credentials for a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password; clouds give tokens that way (`AWS` and a token for ECR).
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that a token server exchanges for one of the registry (`identitytoken`).
    Identity(String),
    /// A token for the registry itself (`registrytoken`).
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Credentials::Password",
            Self::Identity(_) => "Credentials::Identity",
            Self::Bearer(_) => "Credentials::Bearer",
        })
    }
}

/// Credentials for several registries, in the order in which they are tried.
#[derive(Clone, Default, Debug)]
pub struct Keyring {
    entries: Vec<(Place, Credentials)>,
}

/// Registries that credentials are for: a host, in which `*` stands for any part of a label, and the beginning of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    host: String,
    path: Vec<String>,
}

#[derive(Deserialize)]
struct ConfigJson {
    auths: Option<BTreeMap<String, Entry>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Keyring {
    /// Of a Docker `config.json`, or of the older `.dockercfg`, which is its `auths` alone.
    ///
    /// # Errors
    /// What is wrong with it, without a word of what it says.
    pub fn parse(docker_config: &[u8]) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(docker_config)
            .map_err(|error| format!("it is not JSON (line {})", error.line()))?;
        let malformed = || "it does not look like Docker's config.json".to_owned();
        let entries: BTreeMap<String, Entry> = if value.get("auths").is_some() {
            let config: ConfigJson = serde_json::from_value(value).map_err(|_| malformed())?;
            config.auths.unwrap_or_default()
        } else if value.as_object().is_some_and(|all| all.values().all(serde_json::Value::is_object)) {
            serde_json::from_value(value).map_err(|_| malformed())?
        } else {
            return if value.is_object() { Ok(Self::default()) } else { Err(malformed()) };
        };
        let mut keyring = Self::default();
        for (name, entry) in entries {
            if let Some(credentials) = entry.credentials(&name)? {
                keyring.add(&name, credentials);
            }
        }
        Ok(keyring)
    }

    /// Adds credentials for the registries that `name` means, as a key of `auths` does.
    pub fn add(&mut self, name: &str, credentials: Credentials) {
        self.entries.push((Place::of(name), credentials));
        // The more a name says, the earlier it is tried; those that say as much keep their order.
        self.entries.sort_by_key(|(place, _)| std::cmp::Reverse(place.path.len()));
    }

    /// Adds all of another one behind its own.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The credentials for a repository, in the order in which they are tried.
    pub(crate) fn of(&self, host: &str, repository: &str) -> Vec<Credentials> {
        let matching = self.entries.iter().filter(|(place, _)| place.holds(host, repository));
        matching.map(|(_, credentials)| credentials.clone()).collect()
    }
}

impl Entry {
    fn credentials(self, name: &str) -> Result<Option<Credentials>, String> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::Identity(self.identitytoken)));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credentials::Bearer(self.registrytoken)));
        }
        if self.auth.is_empty() {
            let (user, password) = (self.username, self.password);
            // Docker leaves an empty entry where a credential helper has the password.
            return Ok((!user.is_empty()).then_some(Credentials::Password { user, password }));
        }
        let malformed = || format!("`auth` of {name} is not base64 of name:password");
        let decoded = STANDARD.decode(self.auth.trim()).map_err(|_| malformed())?;
        let text = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (user, password) = text.split_once(':').ok_or_else(malformed)?;
        // Some tools pad with zero bytes.
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Credentials::Password { user: user.to_owned(), password }))
    }
}

impl Place {
    fn of(name: &str) -> Self {
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        let mut parts = name.split('/').filter(|part| !part.is_empty());
        let host = canonical_host(&parts.next().unwrap_or_default().to_ascii_lowercase()).to_owned();
        // `/v1/` and `/v2/` are addresses of the protocol, not repositories.
        let path = parts.filter(|part| !matches!(*part, "v1" | "v2")).map(str::to_owned).collect();
        Self { host, path }
    }

    fn holds(&self, host: &str, repository: &str) -> bool {
        matches_host(&self.host, canonical_host(host))
            && repository.split('/').zip(&self.path).all(|(own, wanted)| own == wanted)
            && repository.split('/').count() >= self.path.len()
    }
}

/// Docker Hub has three names.
fn canonical_host(host: &str) -> &str {
    if matches!(host, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { host }
}

/// `*.example.com` means one label, as Kubernetes has it.
fn matches_host(pattern: &str, host: &str) -> bool {
    let mut patterns = pattern.split('.');
    let mut labels = host.split('.');
    loop {
        match (patterns.next(), labels.next()) {
            (None, None) => return true,
            (Some(pattern), Some(label)) if matches_label(pattern, label) => {}
            _ => return false,
        }
    }
}

fn matches_label(pattern: &str, label: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == label };
    label.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Credentials {
        Credentials::Password { user: user.into(), password: password.into() }
    }

    #[test]
    fn a_repository_gets_the_credentials_of_its_registry_and_no_others() {
        let keyring = Keyring::parse(
            br#"{"auths": {
                "registry.example.com": {"auth": "YTpi"},
                "registry.example.com/vecdb": {"username": "vecdb", "password": "x"},
                "*.dkr.ecr.eu-west-1.amazonaws.com": {"auth": "QVdTOnRva2Vu"},
                "https://index.docker.io/v1/": {"identitytoken": "t"},
                "helper.example.com": {}
            }}"#,
        )
        .unwrap();
        assert_eq!(
            keyring.of("registry.example.com", "vecdb/meter"),
            [password("vecdb", "x"), password("a", "b")],
            "the more specific first"
        );
        assert_eq!(keyring.of("registry.example.com", "vecdb2/meter"), [password("a", "b")]);
        assert_eq!(
            keyring.of("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "meter"),
            [password("AWS", "token")]
        );
        assert_eq!(keyring.of("docker.io", "a/b"), [Credentials::Identity("t".into())]);
        for stranger in [
            "registry.example.com:5000",
            "evil.registry.example.com",
            "dkr.ecr.eu-west-1.amazonaws.com",
            "a.b.dkr.ecr.eu-west-1.amazonaws.com",
            "helper.example.com",
        ] {
            assert!(keyring.of(stranger, "vecdb/meter").is_empty(), "{stranger}");
        }
    }

    #[test]
    fn the_older_file_is_its_entries_alone() {
        let keyring = Keyring::parse(
            br#"{"https://a.example.com/v1/": {"auth": "YTpiOmM="}, "b.example.com": {"username": "AWS", "password": "t"}}"#,
        )
        .unwrap();
        assert_eq!(keyring.of("a.example.com", "m"), [password("a", "b:c")]);
        assert_eq!(keyring.of("b.example.com", "m"), [password("AWS", "t")]);
        for nobodys in
            [&b"{}"[..], br#"{"credsStore": "ecr-login"}"#, br#"{"credHelpers": {"a.example.com": "ecr"}}"#]
        {
            assert!(Keyring::parse(nobodys).unwrap().of("a.example.com", "m").is_empty());
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_it_says() {
        for text in
            ["secret", r#"["secret"]"#, r#"{"auths": {"a": {"auth": "c2VjcmV0"}}}"#, r#"{"auths": "secret"}"#]
        {
            let problem = Keyring::parse(text.as_bytes()).unwrap_err();
            assert!(!problem.contains("secret") && !problem.contains("c2Vj"), "{problem}");
        }
        let shown =
            format!("{:?}", Keyring::parse(br#"{"auths": {"a.b": {"auth": "YTpzZWNyZXQ="}}}"#).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
