//! `tollkeeper plugin new`: a project that builds and passes its tests at once. It is the example `node-hours` of the
//! language's SDK with the SDK beside it, so that what CI tests is what vendors start from.

mod files;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::language::Language;
use crate::cli::{Failure, Output, print};

/// The example that a project starts as.
const EXAMPLE: &str = "node-hours";

/// A name fits into a DNS label, a crate and a Go module.
const LONGEST_NAME: usize = 63;

/// Start a meter: a folder with a plugin, its tests, a product that uses it and a trace to try it with.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Name of the meter and of its folder: lower-case letters, digits and hyphens.
    name: String,
    /// Language to write it in.
    #[arg(long, env = "TOLLKEEPER_LANG")]
    lang: Language,
    /// Folder to make the project's folder in; by default the present one.
    #[arg(long, env = "TOLLKEEPER_IN", value_name = "FOLDER")]
    r#in: Option<PathBuf>,
    /// How to print what was made.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

impl New {
    pub(crate) fn run(self) -> Result<(), Failure> {
        check_name(&self.name)?;
        let folder = self.r#in.map_or_else(|| PathBuf::from(&self.name), |parent| parent.join(&self.name));
        if fs::symlink_metadata(&folder).is_ok() {
            return Err(Failure::new(format!(
                "{} is there already and nothing is overwritten; choose another name, or remove it",
                folder.display()
            )));
        }
        let files = files::of(self.lang, &self.name);
        for (path, text) in &files {
            write(&folder.join(path), text)?;
        }
        let next = next_steps(&folder, self.lang);
        match self.output {
            Output::Json => {
                let files: Vec<&String> = files.iter().map(|(path, _)| path).collect();
                print::json(&json!({ "folder": folder, "files": files, "next": next }))
            }
            Output::Text => print::text(format_args!(
                "A meter in {} is in {}. Next:\n\n{}\nREADME.md says what each does.\n",
                self.lang.name(),
                folder.display(),
                next.iter().map(|step| format!("  {step}\n")).collect::<String>()
            )),
        }
    }
}

/// What brings the project to a simulated bill.
fn next_steps(folder: &Path, language: Language) -> Vec<String> {
    let mut steps = vec![format!("cd {}", folder.display()), language.tests().to_owned()];
    steps.extend(
        [
            "tollkeeper plugin build",
            "tollkeeper plugin check meter.wasm --product product.yaml --trace trace.jsonl",
            "tollkeeper plugin run meter.wasm --product product.yaml --trace trace.jsonl --expect expected.json",
            "tollkeeper simulate product.yaml binding.yaml --signals trace.jsonl --plugins .",
        ]
        .map(str::to_owned),
    );
    steps
}

fn check_name(name: &str) -> Result<(), Failure> {
    let fits = name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "`{name}` is no name for a meter; write 1 to {LONGEST_NAME} lower-case letters, digits and hyphens that begin with a letter, such as node-hours"
        )))
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_everywhere() {
        for name in ["a", "node-hours", "v2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a_b", "a/b", "..", "2a", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
