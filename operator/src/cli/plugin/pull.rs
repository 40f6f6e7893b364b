//! `tollkeeper plugin pull`: a component from a registry, checked as the operator would; or all of it, to carry elsewhere.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use tollkeeper_core::identity::Digest;
use tollkeeper_registry::Reference;

use super::{
    component, progress,
    registry::{self, Access},
    signer::Signer,
};
use crate::cli::{Failure, Output, print};

/// Pull a component from a registry into a file, and print its digests. A file that ends in `.tar` becomes an archive (OCI
/// image layout) of the artifact with its signatures, for `tollkeeper plugin push` where no registry can be reached.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// What to pull, such as registry.example.com/vecdb/meter:1.4.0.
    reference: Reference,
    /// File to write, a component or a `.tar`; by default the last word of the repository with `.wasm`.
    file: Option<PathBuf>,
    /// The digest that the component must have.
    #[arg(long)]
    digest: Option<Digest>,
    #[command(flatten)]
    signer: Signer,
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
        let signed = self.signer.verify(&found).await?.transpose().map_err(refused)?;
        let size = usize::try_from(found.layer().size).unwrap_or(usize::MAX);
        let bar = progress::bar("pulling", size);
        let seen = |seen| bar.set_position(seen);
        let file = self.file();
        let (content, component) = if component::is_archive(&file) {
            let archive = found.archive(&seen).await.map_err(refused)?;
            let mut content = Vec::new();
            archive.write(&mut content).map_err(Failure::new)?;
            (content, archive.component().map_err(Failure::new)?.to_vec())
        } else {
            let component = found.component(&seen).await.map_err(refused)?;
            (component.clone(), component)
        };
        bar.finish_and_clear();
        write(&file, &content)?;
        let digest = Digest::of(&component);
        let signed = signed.map(|signed| signed.layout.as_str());
        if self.output == Output::Json {
            return print::json(&json!({
                "file": file,
                "manifest": found.digest(),
                "component": digest,
                "size": component.len(),
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
        self.file.clone().unwrap_or_else(|| self.reference.file_name().into())
    }
}

/// Writes a file so that nobody ever sees half of it.
fn write(file: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || {
        let mut half = tempfile::NamedTempFile::new_in(folder)?;
        half.write_all(content)?;
        // A temporary file is for its owner only, and this is no secret.
        half.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        half.persist(file).map(drop).map_err(|error| error.error)
    };
    written()
        .map_err(|error: io::Error| Failure::new(format!("{} cannot be written: {error}", file.display())))
}
