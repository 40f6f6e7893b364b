//! The name of a file of machine code: what it was made of, for which engine, and what it must contain.

use std::{
    fmt,
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Read as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};
use tollkeeper_core::identity::Digest;
use wasmtime::Engine;

const EXTENSION: &str = ".cwasm";

/// A component and an engine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    component: String,
    engine: EngineHash,
}

/// Tells engines apart whose machine code differs: by wasmtime's version and settings, and by the version of Tollkeeper,
/// which may change what wasmtime's hash leaves out. The processor's features are compared when the code is mapped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct EngineHash(u64);

/// A key with the checksum of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Name {
    pub(super) key: Key,
    sum: String,
}

impl EngineHash {
    pub(super) fn of(engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Key {
    pub(super) fn new(digest: &Digest, engine: EngineHash) -> Self {
        Self { component: digest.as_str().trim_start_matches("sha256:").to_owned(), engine }
    }

    /// The name that a file with this content has.
    pub(super) fn name(&self, content: &mut File) -> io::Result<Name> {
        Ok(Name { key: self.clone(), sum: checksum(content)? })
    }
}

impl Name {
    /// Reads a file's name; `None` if it is not one of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix(EXTENSION)?.split('-');
        let (component, engine, sum) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_hex(component, 64) || !is_hex(engine, 16) || !is_hex(sum, 64) || parts.next().is_some() {
            return None;
        }
        let engine = EngineHash(u64::from_str_radix(engine, 16).ok()?);
        Some(Self { key: Key { component: component.to_owned(), engine }, sum: sum.to_owned() })
    }

    /// Whether a name claims to be one of ours.
    pub(super) fn is_claimed_by(text: &str) -> bool {
        text.ends_with(EXTENSION)
    }

    /// Whether the file has the content that its name says.
    pub(super) fn matches(&self, path: &Path) -> io::Result<bool> {
        Ok(checksum(&mut File::open(path)?)? == self.sum)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}-{}{EXTENSION}", self.key.component, self.key.engine.0, self.sum)
    }
}

/// SHA-256 of a file, without holding it in memory.
fn checksum(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(piece.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_no_other_is() {
        let text = format!("{}-{:016x}-{}.cwasm", "a".repeat(64), 7, "b".repeat(64));
        assert_eq!(Name::parse(&text).unwrap().to_string(), text);
        for foreign in
            [text.replace('7', "g"), text.replace("aa", "aA"), text[1..].to_owned(), format!("{text}.old")]
        {
            assert_eq!(Name::parse(&foreign), None, "{foreign}");
        }
    }
}
