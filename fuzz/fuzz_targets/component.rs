//! What a vendor or a registry hands over as a component, up to the compiler, which works in a process of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollkeeper_core::{identity::Digest, plugin::PluginLimits};

/// Private to the plugin host, which would bring the compiler with it.
#[path = "../../operator/crates/plugin-host/src/compile/admission.rs"]
mod admission;
#[path = "../../operator/src/cli/plugin/interfaces.rs"]
mod interfaces;

fuzz_target!(|bytes: &[u8]| {
    let limits = PluginLimits::default();
    if admission::admit(bytes, &Digest::of(bytes), limits.component).is_ok() {
        // As `plugin inspect` and `plugin check` do.
        let _ = interfaces::Interfaces::of(bytes);
    }
});
