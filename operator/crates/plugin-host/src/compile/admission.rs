//! What can be checked without compiling.

use tollkeeper_core::{identity::Digest, plugin::PluginFailure};

/// The digest first, so that other bytes are not even parsed, then size and kind.
pub(crate) fn admit(bytes: &[u8], named: &Digest, most: u64) -> Result<(), PluginFailure> {
    let found = Digest::of(bytes);
    if found != *named {
        return Err(PluginFailure::DigestMismatch { named: named.clone(), found });
    }
    let length = bytes.len();
    if u64::try_from(length).is_ok_and(|length| length > most) {
        return Err(PluginFailure::TooLarge(format!(
            "the component has {length} bytes, more than the {most} that the product allows it (limits.component)"
        )));
    }
    // The preamble: magic, version, layer (0 for core modules, 1 for components).
    match (bytes.get(..4), bytes.get(6..8)) {
        (Some(b"\0asm"), Some([0, 0])) => Err(PluginFailure::InvalidComponent(
            "it is a core module; make a component of it with `wasm-tools component new meter.wasm -o component.wasm`"
                .into(),
        )),
        (Some(b"\0asm"), Some(_)) => Ok(()),
        _ => Err(PluginFailure::InvalidComponent("it is not WebAssembly at all".into())),
    }
}
