//! `tollkeeper plugin pull`: a component from a registry, checked as the operator would.

use std::{fs, io::Write as _, path::PathBuf};

use clap::Args;
use serde_json::json;
use tollkeeper_core::identity::Digest;
use tollkeeper_registry::{Layout, Reference};

use super::{
    progress,
    registry::{self, Access},
};
use crate::cli::{Failure, Output, print};

/// Pull a component from a registry into a file, and print its digests.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// What to pull, such as registry.example.com/vecdb/meter:1.4.0.
    reference: Reference,
    /// File to write; by default the last word of the repository with `.wasm`.
    file: Option<PathBuf>,
    /// The digest that the component must have.
    #[arg(long)]
    digest: Option<Digest>,
    /// File with the public key (PEM) that must have signed it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// How to print the result.
    #[arg(long, default_value = "text")]
    output: Output,
}

impl Pull {
    pub(crate) fn run(self) -> Result<(), Failure> {
        registry::wait(self.pull())
    }

    async fn pull(&self) -> Result<(), Failure> {
        let registries = self.access.registries()?;
        let keyring = self.access.keyring(&self.reference)?;
        let refused = |failure| registry::refused(&failure);
        let found = registries.find(&self.reference, &keyring).await.map_err(refused)?;
        if let Some(digest) = &self.digest {
            found.holds(digest).map_err(refused)?;
        }
        let layout = match &self.key {
            Some(path) => Some(found.verify(&registry::public_key(path)?).await.map_err(refused)?.layout),
            None => None,
        };
        let size = usize::try_from(found.layer().size).unwrap_or(usize::MAX);
        let bar = progress::bar("pulling", size);
        let bytes = found.component(&|seen| bar.set_position(seen)).await.map_err(refused)?;
        bar.finish_and_clear();
        let file = self.file();
        // Nobody ever sees half of it.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| ".".as_ref()))
            .and_then(|mut half| {
                half.write_all(&bytes)?;
                half.persist(&file).map_err(|error| error.error)
            })
            .and_then(|_| readable(&file))
            .map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.display())))?;
        let digest = Digest::of(&bytes);
        let signed = layout.map(Layout::as_str);
        if self.output == Output::Json {
            return print::json(&json!({
                "file": file,
                "manifest": found.digest(),
                "component": digest,
                "size": bytes.len(),
                "signature": signed,
            }));
        }
        print::text(format_args!(
            "file       {}\nmanifest   {}\ncomponent  {digest}\nsignature  {}\n",
            file.display(),
            found.digest(),
            signed.map_or_else(|| "not looked for".to_owned(), |layout| format!("verified ({layout})"))
        ))
    }

    fn file(&self) -> PathBuf {
        let repository = self.reference.repository();
        let name = repository.rsplit('/').next().unwrap_or(repository);
        self.file.clone().unwrap_or_else(|| format!("{name}.wasm").into())
    }
}

/// A temporary file is for its owner only; a component is no secret.
fn readable(file: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}
