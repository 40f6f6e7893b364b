//! What a component may ask for: the log and the types of `tollkeeper:meter`, a WASI with nothing behind it, nothing else.

use tollkeeper_core::plugin::PluginFailure;
use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

use crate::wasi;

/// The package, and the functions that the host gives in each of its interfaces.
const GIVEN: [(&str, &[&str]); 2] = [("tollkeeper:meter/log", &["write"]), ("tollkeeper:meter/types", &[])];

/// Versions that this host understands: 0.1 and its patches.
const VERSION: &str = "0.1.";

/// Names the first import that no plugin is given.
pub(crate) fn check(engine: &Engine, component: &Component) -> Result<(), PluginFailure> {
    for (name, import) in component.component_type().imports(engine) {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        if wasi::is_answered(interface, version) {
            continue;
        }
        let Some((_, functions)) = GIVEN.iter().find(|(given, _)| *given == interface) else {
            return Err(PluginFailure::ForbiddenImport(name.to_owned()));
        };
        if !version.starts_with(VERSION) {
            return Err(PluginFailure::UnsupportedInterface(format!("it imports `{name}`")));
        }
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            return Err(PluginFailure::ForbiddenImport(name.to_owned()));
        };
        for (member, item) in instance.exports(engine) {
            let is_given = match item.ty {
                ComponentItem::Type(_) => true,
                ComponentItem::ComponentFunc(_) => functions.contains(&member),
                _ => false,
            };
            if !is_given {
                return Err(PluginFailure::ForbiddenImport(format!("{name}#{member}")));
            }
        }
    }
    Ok(())
}
