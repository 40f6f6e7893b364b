//! Keys that sign and verify: ECDSA on P-256 (cosign's own) and P-384, Ed25519 and RSA.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
        ECDSA_P384_SHA384_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// Why a key was refused.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum InvalidKey {
    /// Not PEM of the wanted kind.
    #[error("it is not PEM with a `{0}` in it")]
    NotPem(&'static str),
    /// Of a kind that is not used for signatures.
    #[error("it is none of ECDSA on P-256 or P-384, Ed25519, and RSA of 2048 to 8192 bits")]
    Unknown,
    /// Encrypted in a way that only cosign reads.
    #[error(
        "it is encrypted; `cosign` alone opens it: sign with cosign, or make a key with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    Encrypted,
}

/// A key that verifies.
pub struct PublicKey {
    key: ParsedPublicKey,
    der: Vec<u8>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hint())
    }
}

impl PublicKey {
    /// Of a `PUBLIC KEY` in PEM.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let found = pem::parse_many(text).unwrap_or_default();
        let key = found
            .into_iter()
            .find(|section| section.tag() == "PUBLIC KEY")
            .ok_or(InvalidKey::NotPem("PUBLIC KEY"))?;
        Self::from_der(key.into_contents())
    }

    fn from_der(der: Vec<u8>) -> Result<Self, InvalidKey> {
        let algorithms: [&'static dyn VerificationAlgorithm; 4] =
            [&ECDSA_P256_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1, &ED25519, &RSA_PKCS1_2048_8192_SHA256];
        let key = algorithms.into_iter().find_map(|algorithm| ParsedPublicKey::new(algorithm, &der).ok());
        Ok(Self { key: key.ok_or(InvalidKey::Unknown)?, der })
    }

    /// Whether this key has signed the message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// A name of the key: the digest of its encoding.
    pub fn hint(&self) -> String {
        STANDARD.encode(Sha256::digest(&self.der))
    }

    /// As a `PUBLIC KEY` in PEM.
    pub fn to_pem(&self) -> String {
        pem::encode_config(
            &pem::Pem::new("PUBLIC KEY", self.der.clone()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        )
    }
}

/// A key that signs.
pub struct SigningKey(Kind);

enum Kind {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Of a `PRIVATE KEY` (PKCS#8) or `EC PRIVATE KEY` (SEC 1) in PEM.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let found = pem::parse_many(text).unwrap_or_default();
        if found.iter().any(|section| section.tag().starts_with("ENCRYPTED ")) {
            return Err(InvalidKey::Encrypted);
        }
        let der = found
            .iter()
            .find(|section| matches!(section.tag(), "PRIVATE KEY" | "EC PRIVATE KEY"))
            .ok_or(InvalidKey::NotPem("PRIVATE KEY"))?
            .contents();
        let ecdsa = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING]
            .into_iter()
            .find_map(|algorithm| EcdsaKeyPair::from_private_key_der(algorithm, der).ok())
            .map(Kind::Ecdsa);
        ecdsa
            .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(Kind::Ed25519))
            .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Kind::Rsa))
            .map(Self)
            .ok_or(InvalidKey::Unknown)
    }

    /// A new key of the kind that cosign makes (ECDSA on P-256), and the same in PEM.
    pub fn generate() -> Result<(Self, String), InvalidKey> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| InvalidKey::Unknown)?;
        let der = key.to_pkcs8v1().map_err(|_| InvalidKey::Unknown)?;
        let text = pem::encode_config(
            &pem::Pem::new("PRIVATE KEY", der.as_ref()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        );
        Ok((Self(Kind::Ecdsa(key)), text))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> Result<PublicKey, InvalidKey> {
        let der = match &self.0 {
            Kind::Ecdsa(key) => key.public_key().as_der(),
            Kind::Ed25519(key) => key.public_key().as_der(),
            Kind::Rsa(key) => key.public_key().as_der(),
        };
        PublicKey::from_der(der.map_err(|_| InvalidKey::Unknown)?.as_ref().to_vec())
    }

    /// Signs a message; fails if the machine has no random numbers.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, InvalidKey> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::Ecdsa(key) => key.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Kind::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| InvalidKey::Unknown)
    }
}
