//! The languages that meters are written in with one of our SDKs.

use std::path::Path;

use clap::ValueEnum;

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Rust, as a core module that is made a component.
    Rust,
}

impl Language {
    /// The file that a project of the language has at its root.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
        }
    }

    /// As people write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
        }
    }

    /// The command that runs a project's own tests.
    pub(super) const fn tests(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
        }
    }

    /// The language of a project.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        Self::value_variants().iter().copied().find(|language| folder.join(language.mark()).is_file())
    }
}
