//! The certificates and keys of one control plane, made anew for it.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::Result;

/// Writes `ca.crt`, `server.crt`, `server.key`, `admin.crt`, `admin.key`, `service-accounts.key` and `service-accounts.pub` into `folder`.
pub(crate) fn write(folder: &Path) -> Result {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "tollkeeper-kit");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    std::fs::write(folder.join("ca.crt"), ca.pem())?;

    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(folder, "server", params, &ca)?;

    // RBAC lets this group do everything, before any role exists.
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(DnType::CommonName, "admin");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(folder, "admin", params, &ca)?;

    let key = KeyPair::generate()?;
    std::fs::write(folder.join("service-accounts.key"), key.serialize_pem())?;
    std::fs::write(folder.join("service-accounts.pub"), key.public_key_pem())?;
    Ok(())
}

fn sign(
    folder: &Path,
    name: &str,
    mut params: CertificateParams,
    ca: &CertifiedIssuer<'_, KeyPair>,
) -> Result {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    std::fs::write(folder.join(format!("{name}.crt")), params.signed_by(&key, ca)?.pem())?;
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}
