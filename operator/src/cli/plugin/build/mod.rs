//! `tollkeeper plugin build`: from a project's source to a component and its digest, with the language's own toolchain.

mod go;
mod js;
mod python;
mod rust;
mod toolchain;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum as _};
use serde_json::json;
use tollkeeper_core::identity::Digest;
use tollkeeper_plugin_host::MAXIMA;

use super::{language::Language, progress, subject::Subject};
use crate::cli::{Failure, Output, print};

/// Build a meter's project to a component, and write the component's digest into its product.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Folder of the project; by default the present one.
    folder: Option<PathBuf>,
    /// Where to write the component; by default meter.wasm in the folder.
    #[arg(long, env = "TOLLKEEPER_COMPONENT", value_name = "FILE")]
    component: Option<PathBuf>,
    /// How to print what was built.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

impl Build {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // The empty path is the present folder, and messages name files without `./`.
        let folder = self.folder.unwrap_or_default();
        let Some(language) = Language::of(&folder) else {
            let marks: Vec<_> = Language::value_variants().iter().map(|one| one.mark()).collect();
            return Err(Failure::new(format!(
                "{} is no meter's project: it has none of {}; `tollkeeper plugin new` makes one",
                if folder.as_os_str().is_empty() { "this folder".into() } else { folder.to_string_lossy() },
                marks.join(", ")
            )));
        };
        let spinner = progress::spinner(format!("building with {}", language.name()));
        let bytes = match language {
            Language::Rust => rust::build(&folder),
            Language::Go => go::build(&folder),
            Language::Js => js::build(&folder),
            Language::Python => python::build(&folder),
        }?;
        spinner.finish_and_clear();
        let component = self.component.unwrap_or_else(|| folder.join("meter.wasm"));
        fs::write(&component, &bytes)
            .map_err(|error| Failure::new(format!("{} cannot be written: {error}", component.display())))?;
        // A component that no operator would take is found now.
        let subject = Subject::load(&component, MAXIMA)?;
        let pinned = pin(&folder.join("product.yaml"), &subject.digest)?;
        match self.output {
            Output::Json => print::json(&json!({
                "component": component,
                "digest": subject.digest,
                "size": bytes.len(),
                "product": pinned,
            })),
            Output::Text => {
                let pinned = pinned.map(|path| format!("pinned in {}\n", path.display())).unwrap_or_default();
                print::text(format_args!(
                    "{} has {} bytes\n{}\n{pinned}",
                    component.display(),
                    bytes.len(),
                    subject.digest
                ))
            }
        }
    }
}

/// Writes the digest into a project's product, if it has one that names a digest in exactly one line.
fn pin(product: &Path, digest: &Digest) -> Result<Option<PathBuf>, Failure> {
    let Ok(text) = fs::read_to_string(product) else { return Ok(None) };
    let Some(pinned) = pinned(&text, digest) else { return Ok(None) };
    if pinned != text {
        fs::write(product, pinned)
            .map_err(|error| Failure::new(format!("{} cannot be written: {error}", product.display())))?;
    }
    Ok(Some(product.to_owned()))
}

fn pinned(text: &str, digest: &Digest) -> Option<String> {
    let names_a_digest = |line: &&str| line.trim_start().starts_with("digest: sha256:");
    let mut lines = text.lines().filter(names_a_digest);
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let indent = line.len() - line.trim_start().len();
    Some(text.replace(line, &format!("{:indent$}digest: {digest}", "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_names_the_digest_of_what_was_built() {
        let digest = Digest::of(b"component");
        let product = "plugin:\n  source: {file: /a}\n  digest: sha256:00\n";
        assert_eq!(
            pinned(product, &digest),
            Some(format!("plugin:\n  source: {{file: /a}}\n  digest: {digest}\n"))
        );
        assert_eq!(pinned("plugin: {}\n", &digest), None);
        assert_eq!(pinned("digest: sha256:1\ndigest: sha256:2\n", &digest), None);
    }
}
