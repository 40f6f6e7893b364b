//! A registry and what most tests do with it.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeSet;

use tollkeeper_core::{
    artifact::{ArtifactRequest, PullSecret},
    identity::Digest,
};
use tollkeeper_kit::{Door, Registry};
use tollkeeper_registry::{
    Artifact, Description, Keyring, PublicKey, Pushed, Reference, Registries, Settings, SigningKey,
};

pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 not a real one, and no registry minds";

pub(crate) struct Shop {
    pub(crate) registry: Registry,
    pub(crate) registries: Registries,
    pub(crate) keyring: Keyring,
}

impl Shop {
    pub(crate) async fn open(door: Door) -> Self {
        let registry = Registry::start(door).await.unwrap();
        let authorities = door.tls.then(|| std::fs::read(registry.authority()).unwrap());
        let settings = Settings { authorities, ..Settings::default() };
        let keyring = if door.users {
            Keyring::parse(registry.docker_config().as_bytes()).unwrap()
        } else {
            Keyring::default()
        };
        Self { registry, registries: Registries::new(settings).unwrap(), keyring }
    }

    pub(crate) fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.registry.host()).parse().unwrap()
    }

    pub(crate) async fn push(&self, rest: &str, component: &[u8]) -> Pushed {
        let artifact = Artifact::new(component.to_vec(), Description::default());
        self.registries.push(&self.reference(rest), &self.keyring, &artifact).await.unwrap()
    }

    pub(crate) fn request(&self, rest: &str, component: &[u8]) -> ArtifactRequest {
        ArtifactRequest {
            reference: self.reference(rest).to_string(),
            digest: Digest::of(component),
            max_component: u64::MAX,
            signer: None,
            pull_secrets: Vec::new(),
        }
    }

    pub(crate) fn secret(&self) -> PullSecret {
        PullSecret { name: "registry".into(), docker_config: self.registry.docker_config().into_bytes() }
    }
}

pub(crate) fn plain(hosts: &[&str]) -> Settings {
    Settings {
        plain: hosts.iter().map(|host| (*host).to_owned()).collect::<BTreeSet<_>>(),
        ..Settings::default()
    }
}

pub(crate) fn key() -> (SigningKey, PublicKey) {
    let (key, _) = SigningKey::generate().unwrap();
    let public = key.public().unwrap();
    (key, public)
}
