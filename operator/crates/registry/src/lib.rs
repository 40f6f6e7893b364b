//! Plugins in OCI registries: pull, push, sign, verify.
//!
//! Nothing from a registry is believed: every answer has a limit, every byte is compared with a digest, and what is not
//! complete is thrown away. Credentials go to the registry that they are for, or to the token server that it names, and
//! never over plain HTTP, the loopback interface and registries that an operator has named aside.

mod archive;
mod artifact;
mod cache;
mod carry;
mod challenge;
mod credentials;
mod manifest;
mod names;
mod proof;
mod pull;
mod push;
mod reference;
mod repository;
mod signature;
mod transport;

pub use archive::{Archive, ArchiveError};
pub use artifact::{Artifact, Description};
pub use carry::ImportError;
pub use credentials::{Credentials, Keyring};
pub use manifest::{ARTIFACT_MANIFEST, Descriptor, Manifest};
pub use pull::{Found, Registries};
pub use push::Pushed;
pub use reference::{InvalidReference, Reference};
pub use signature::{
    Layout, Signed,
    identity::{InvalidRoots, Roots},
    key::{InvalidKey, PublicKey, SigningKey},
};
pub use transport::{Settings, TransportError};
