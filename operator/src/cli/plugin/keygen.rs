//! `tollkeeper plugin keygen`: a key to sign with, and the one that goes into products.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use clap::Args;
use tollkeeper_registry::SigningKey;

use crate::cli::{Failure, print};

/// Make a key pair for signatures: NAME.key, which stays secret, and NAME.pub, which goes into the product.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Path of the files, without `.key` and `.pub`.
    #[arg(default_value = "meter")]
    name: String,
}

impl Keygen {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let failed = |error| Failure::new(format!("the key cannot be made: {error}"));
        let (key, secret) = SigningKey::generate().map_err(failed)?;
        let public = key.public().map_err(failed)?.to_pem();
        let (secret_file, public_file) = (format!("{}.key", self.name), format!("{}.pub", self.name));
        write(secret_file.as_ref(), &secret, 0o600)?;
        write(public_file.as_ref(), &public, 0o644)?;
        print::text(format_args!("secret     {secret_file}\npublic     {public_file}\n"))
    }
}

/// Writes a file that is not there yet: a key that is overwritten is lost.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
}
