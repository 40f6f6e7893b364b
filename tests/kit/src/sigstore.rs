//! A sigstore of one's own: an authority, a log of certificates and a log of signatures, enough to sign without a key.
//!
//! Nothing of it runs anywhere: a verifier sees the roots of trust and bundles, as it does of the public one.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Failure, Result};

/// Of the extension that names the issuer of an identity (Fulcio's `1.8`).
const ISSUER: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 8];
/// Of the extension with the promises of logs of certificates (RFC 6962).
const PROMISES: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
const STATEMENT: &str = "application/vnd.in-toto+json";
/// What a log calls itself.
const LOG: &str = "log.example.com";
/// Before anything that is signed here.
const BEGINNING: &str = "2020-01-01T00:00:00Z";

/// An instance, with keys that it has made for itself.
pub struct Sigstore {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificates: KeyPair,
    signatures: KeyPair,
}

impl Sigstore {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tollkeeper-kit");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { authority, certificates: KeyPair::generate()?, signatures: KeyPair::generate()? })
    }

    /// The `trusted_root.json` of those who trust it.
    pub fn trusted_root(&self) -> String {
        let log = |key: &KeyPair| {
            json!([{
                "baseUrl": format!("https://{LOG}"),
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.subject_public_key_info()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": BEGINNING},
                },
                "logId": {"keyId": STANDARD.encode(id(key))},
            }])
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": log(&self.signatures),
            "ctlogs": log(&self.certificates),
            "certificateAuthorities": [{
                "subject": {"organization": "tollkeeper-kit", "commonName": "tollkeeper-kit"},
                "uri": "https://authority.example.com",
                "certChain": {"certificates": [{"rawBytes": STANDARD.encode(self.authority.der())}]},
                "validFor": {"start": BEGINNING},
            }],
            "timestampAuthorities": [],
        })
        .to_string()
    }

    /// Signs a manifest, by its digest (`sha256:…`), as cosign 3 does for whom the issuer has vouched for: a bundle.
    pub fn sign(&self, manifest: &str, issuer: &str, subject: &str) -> Result<String> {
        let key = KeyPair::generate()?;
        let certificate = self.certificate(&key, issuer, subject)?;
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": manifest.trim_start_matches("sha256:")}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        })
        .to_string();
        let message = format!("DSSEv1 {} {STATEMENT} {} {statement}", STATEMENT.len(), statement.len());
        let signature = STANDARD.encode(key.sign(message.as_bytes())?);
        let envelope = json!({
            "payload": STANDARD.encode(&statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": signature, "keyid": ""}],
        });
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines(&STANDARD.encode(&certificate))
        );
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(envelope.to_string()))},
                "payloadHash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(&statement))},
                "signatures": [{"signature": signature, "verifier": STANDARD.encode(pem)}],
            },
        });
        Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(certificate)},
                "tlogEntries": [self.entry(&body.to_string())?],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": envelope,
        })
        .to_string())
    }

    /// A certificate with the promise of the log of certificates, which is over the certificate without it.
    fn certificate(&self, key: &KeyPair, issuer: &str, subject: &str) -> Result<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let name = subject.try_into()?;
        let is_mail = subject.contains('@') && !subject.contains("://");
        params.subject_alt_names = vec![if is_mail { SanType::Rfc822Name(name) } else { SanType::URI(name) }];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&ISSUER, field(0x0c, issuer.as_bytes())?)];
        let unlogged = params.clone().signed_by(key, &self.authority)?;
        let promise = self.promise(first_field(content(unlogged.der())?)?)?;
        params.custom_extensions.push(CustomExtension::from_oid_content(&PROMISES, field(0x04, &promise)?));
        Ok(params.signed_by(key, &self.authority)?.der().to_vec())
    }

    /// A list of one promise, as TLS writes it.
    fn promise(&self, certificate: &[u8]) -> Result<Vec<u8>> {
        let mut moment = vec![0];
        moment.extend(u64::try_from(now()?.as_millis())?.to_be_bytes());
        let mut signed = vec![0];
        signed.extend(&moment);
        signed.extend([0, 1]);
        signed.extend(Sha256::digest(self.authority.key().subject_public_key_info()));
        signed.extend(u32::try_from(certificate.len())?.to_be_bytes().into_iter().skip(1));
        signed.extend(certificate);
        signed.extend([0, 0]);
        let signature = self.certificates.sign(&signed)?;
        let mut promise = vec![0];
        promise.extend(id(&self.certificates));
        promise.extend(moment.into_iter().skip(1));
        // No extensions; ECDSA with SHA-256.
        promise.extend([0, 0, 4, 3]);
        promise.extend(long(&signature)?);
        long(&long(&promise)?)
    }

    /// The one entry of a log of signatures: its promise, and the proof that it is there.
    fn entry(&self, body: &str) -> Result<Value> {
        let (time, log) = (now()?.as_secs(), id(&self.signatures));
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{time},"logID":"{}","logIndex":0}}"#,
            STANDARD.encode(body),
            hex::encode(&log)
        );
        let root = STANDARD.encode(Sha256::digest([b"\0", body.as_bytes()].concat()));
        let head = format!("{LOG}\n1\n{root}\n");
        let mut signature = log.get(..4).unwrap_or_default().to_vec();
        signature.extend(self.signatures.sign(head.as_bytes())?);
        Ok(json!({
            "logIndex": "0",
            "logId": {"keyId": STANDARD.encode(log)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": time.to_string(),
            "inclusionPromise": {
                "signedEntryTimestamp": STANDARD.encode(self.signatures.sign(promised.as_bytes())?),
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": root,
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": format!("{head}\n— {LOG} {}\n", STANDARD.encode(signature))},
            },
            "canonicalizedBody": STANDARD.encode(body),
        }))
    }
}

/// How a log names its key.
fn id(key: &KeyPair) -> Vec<u8> {
    Sha256::digest(key.subject_public_key_info()).to_vec()
}

#[allow(clippy::disallowed_methods, reason = "test support lives in real time, as those do who verify")]
fn now() -> Result<std::time::Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

fn lines(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(64).map(String::from_iter).collect::<Vec<_>>().join("\n")
}

/// With its length in two bytes.
fn long(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut with_length = u16::try_from(bytes.len())?.to_be_bytes().to_vec();
    with_length.extend(bytes);
    Ok(with_length)
}

/// A field in DER.
fn field(tag: u8, content: &[u8]) -> Result<Vec<u8>> {
    let mut field = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => field.push(short),
        Ok(byte) => field.extend([0x81, byte]),
        Err(_) => {
            field.push(0x82);
            field.extend(u16::try_from(content.len())?.to_be_bytes());
        }
    }
    field.extend(content);
    Ok(field)
}

/// The lengths of a field's head and of its content.
fn lengths(der: &[u8]) -> Option<(usize, usize)> {
    let length = usize::from(*der.get(1)?);
    if length < 0x80 {
        return Some((2, length));
    }
    let bytes = der.get(2..2 + (length & 0x7f))?;
    Some((2 + bytes.len(), bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))))
}

fn content(der: &[u8]) -> Result<&[u8]> {
    let content = lengths(der).and_then(|(head, length)| der.get(head..head + length));
    content.ok_or_else(|| Failure::new("a certificate is not DER"))
}

fn first_field(der: &[u8]) -> Result<&[u8]> {
    let field = lengths(der).and_then(|(head, length)| der.get(..head + length));
    field.ok_or_else(|| Failure::new("a certificate is empty"))
}
