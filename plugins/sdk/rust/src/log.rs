//! Lines for the operator's log and the vendor's bench: of each call the last 64 KiB are kept.

use crate::bindings::tollkeeper::meter::log::Level;

/// For whoever looks for an error.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Ordinary.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something is odd and usage may be incomplete.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something is wrong.
pub fn error(message: &str) {
    write(Level::Error, message);
}

/// A panic traps without a word in WebAssembly; the log gets the word.
pub(crate) fn panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::bindings::tollkeeper::meter::log::write(level, message);
}

/// In a test there is no host.
#[cfg(not(target_family = "wasm"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
