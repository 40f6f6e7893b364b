//! Who must have signed a plugin that lies in a registry: a key, or an identity that an issuer has vouched for.

use std::fmt;

/// Longest issuer, as of any address.
const MAX_ISSUER: usize = 2048;

/// Longest subject: addresses of workflows have some hundred bytes.
const MAX_SUBJECT: usize = 1024;

/// Who must have signed an artifact: one of the two, never both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signer {
    /// Whoever has the private half of this key (PEM).
    Key(String),
    /// Whom a certificate names.
    Identity(SignerIdentity),
}

/// Why an identity was refused.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum InvalidSignerIdentity {
    /// The issuer is not an address.
    #[error(
        "the issuer is not an address; write that of the OpenID Connect issuer, such as https://token.actions.githubusercontent.com"
    )]
    Issuer,
    /// The subject is empty, or not one word.
    #[error(
        "the subject is not one word of 1 to 1024 bytes; write the e-mail address or the address of the workflow that the certificate names"
    )]
    Subject,
}

/// A signer by name: what an OpenID Connect issuer has vouched for, as the certificate of a keyless signature has it.
///
/// Both are compared letter by letter, so neither can hold what nobody sees, such as a space at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignerIdentity {
    issuer: String,
    subject: String,
}

impl SignerIdentity {
    /// The issuer's address (`http` or `https`), and the e-mail address or the address of a workflow that it vouches for.
    ///
    /// # Errors
    /// If one of them is none.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, InvalidSignerIdentity> {
        let is_address = ["https://", "http://"]
            .iter()
            .any(|scheme| issuer.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if !is_address || issuer.len() > MAX_ISSUER || !is_word(issuer) {
            return Err(InvalidSignerIdentity::Issuer);
        }
        if subject.is_empty() || subject.len() > MAX_SUBJECT || !is_word(subject) {
            return Err(InvalidSignerIdentity::Subject);
        }
        Ok(Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }

    /// Who vouches.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// For whom.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for SignerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}

fn is_word(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://token.actions.githubusercontent.com";
    const SUBJECT: &str = "https://github.com/vecdb/meter/.github/workflows/release.yml@refs/heads/main";

    #[test]
    fn an_identity_is_what_was_written() {
        let identity = SignerIdentity::new(ISSUER, SUBJECT).unwrap();
        assert_eq!((identity.issuer(), identity.subject()), (ISSUER, SUBJECT));
        assert_eq!(identity.to_string(), format!("{SUBJECT} of {ISSUER}"));
        assert!(SignerIdentity::new("http://dex:8888/auth", "somebody@example.com").is_ok());
    }

    #[test]
    fn what_no_certificate_names_is_no_identity() {
        let long = format!("https://{}", "a".repeat(MAX_ISSUER));
        for issuer in ["", "https://", "ftp://a", "token.example.com", "https://a ", "https://a\nb", &long] {
            assert_eq!(SignerIdentity::new(issuer, SUBJECT), Err(InvalidSignerIdentity::Issuer), "{issuer}");
        }
        let long = "a".repeat(MAX_SUBJECT + 1);
        for subject in ["", " ", "a b", "a@example.com\n", "a\0b", &long] {
            assert_eq!(
                SignerIdentity::new(ISSUER, subject),
                Err(InvalidSignerIdentity::Subject),
                "{subject}"
            );
        }
    }
}
