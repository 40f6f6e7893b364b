//! The languages that meters are written in with one of our SDKs.

use std::path::Path;

use clap::ValueEnum;

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Rust, as a core module that is made a component.
    Rust,
    /// Go, with the canonical ABI written by hand: see `arena.go` of the SDK.
    Go,
    /// JavaScript, in QuickJS.
    Js,
    /// Python, in CPython.
    Python,
}

impl Language {
    /// The file that a project of the language has at its root.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Go => "go.mod",
            Self::Js => "package.json",
            Self::Python => "pyproject.toml",
        }
    }

    /// As people write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Js => "JavaScript",
            Self::Python => "Python",
        }
    }

    /// The command that runs a project's own tests.
    pub(super) const fn tests(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Go => "go test ./...",
            Self::Js => "npm install && npm test",
            Self::Python => "python3 -m unittest",
        }
    }

    /// The language of a project.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        Self::value_variants().iter().copied().find(|language| folder.join(language.mark()).is_file())
    }
}
