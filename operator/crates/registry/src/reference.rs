//! References of artifacts: `host[:port]/repository[:tag][@sha256:…]`.

use std::{fmt, str::FromStr};

use tollkeeper_core::identity::Digest;

/// What a reference may have at most; the schema of a product allows no more.
const LONGEST: usize = 512;

/// Where an artifact is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a reference was refused.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error(
    "`{text}` is no reference of an artifact: {problem}; write host/repository:tag, such as registry.example.com/vecdb/meter:1.4.0"
)]
pub struct InvalidReference {
    text: String,
    problem: &'static str,
}

impl Reference {
    /// The registry: a host and perhaps a port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository in it.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if the reference has neither tag nor digest, as with every other tool.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// The digest of the manifest that it pins.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub(crate) fn wanted(&self) -> &str {
        self.digest.as_ref().map(Digest::as_str).or(self.tag()).unwrap_or_default()
    }

    /// The repository with its host, as signatures name it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// What a component from there is called as a file: the last word of the repository.
    pub fn file_name(&self) -> String {
        format!("{}.wasm", self.repository.rsplit('/').next().unwrap_or(&self.repository))
    }

    /// The same repository at a manifest.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let refused = |problem| InvalidReference { text: text.chars().take(160).collect(), problem };
        if text.len() > LONGEST {
            return Err(refused("it is longer than 512 characters"));
        }
        if text.contains("://") {
            return Err(refused("it starts with a scheme"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse().map_err(|_| refused("what follows @ is not `sha256:` and 64 digits"))?),
            ),
            None => (text, None),
        };
        let (host, path) = rest.split_once('/').ok_or_else(|| refused("it names no registry"))?;
        if !is_host(host) {
            return Err(refused("its first part is not the name of a registry"));
        }
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !is_repository(repository) {
            return Err(refused(
                "its repository is not lower-case words with `/`, `.`, `_` and `-` between them",
            ));
        }
        if !tag.is_none_or(is_tag) {
            return Err(refused("its tag is not 1 to 128 of [A-Za-z0-9_.-]"));
        }
        let tag = tag.map(str::to_owned);
        Ok(Self { host: host.to_ascii_lowercase(), repository: repository.to_owned(), tag, digest })
    }
}

/// As Docker tells a registry from the first word of a repository: by a dot, a port, or the name localhost.
fn is_host(host: &str) -> bool {
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    is_plain && (host.contains(['.', ':']) || host == "localhost")
}

/// Distribution specification, "Pulling manifests".
fn is_repository(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !text.is_empty()
        && text.split('/').all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(is_word)
                && bytes.last().is_some_and(is_word)
                && bytes.iter().all(|byte| is_word(byte) || b"._-".contains(byte))
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_is_a_host_a_repository_and_what_to_take_of_it() {
        let parse = |text: &str| text.parse::<Reference>().unwrap();
        let full = parse(&format!("registry.example.com:5000/vecdb/meter:1.4.0@{DIGEST}"));
        assert_eq!((full.host(), full.repository()), ("registry.example.com:5000", "vecdb/meter"));
        assert_eq!((full.tag(), full.digest().unwrap().as_str()), (Some("1.4.0"), DIGEST));
        assert_eq!(full.wanted(), DIGEST, "the digest goes before the tag");
        assert_eq!(parse("localhost/meter").wanted(), "latest");
        assert_eq!(parse("[::1]:5000/meter:1").host(), "[::1]:5000");
        for text in [format!("a.b/c:1@{DIGEST}"), format!("a.b/c@{DIGEST}"), "a.b:1/c/d:x".to_owned()] {
            assert_eq!(parse(&text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_a_sentence() {
        for (text, word) in [
            ("vecdb/meter:1", "first part"),
            ("meter", "no registry"),
            ("https://registry.example.com/a", "scheme"),
            ("registry.example.com/Vecdb:1", "lower-case"),
            ("registry.example.com/../meter", "lower-case"),
            ("registry.example.com/a//b", "lower-case"),
            ("registry.example.com/a:", "tag"),
            ("registry.example.com/a:-x", "tag"),
            ("registry.example.com/a@sha256:12", "64 digits"),
            ("user@registry.example.com/a", "64 digits"),
            ("registry.example.com/a?b=c", "lower-case"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
