//! A WASI with nothing behind it, for guests whose language's library is linked against one (Go, JavaScript, Python, C).
//!
//! The clock stands at the tick, randomness follows from the plugin, the product and the tick, there are no files, arguments or
//! variables, and what is printed becomes the log. Everything else stops the call and names the function.

mod answers;
mod world;

use std::{error, fmt};

use wasmtime::{
    Engine, Error, Result, StoreContextMut,
    component::{
        Component, Linker, LinkerInstance, ResourceDynamic, ResourceType, Val, types::ComponentItem,
    },
};

use crate::call::CallState;
pub(crate) use world::{Moment, World};

/// Packages of WASI that are answered; `wasi:http` and all others are refused when a plugin is loaded.
const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/", "wasi:sockets/"];

/// Their versions: WASI 0.2 and its patches.
const VERSION: &str = "0.2.";

/// Whether an import belongs to the WASI that is answered.
pub(crate) fn is_answered(interface: &str, version: &str) -> bool {
    version.starts_with(VERSION) && PACKAGES.iter().any(|package| interface.starts_with(package))
}

/// Why a call was stopped.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It called a function that exists on paper only.
    NotGiven(String),
    /// It left before it returned anything.
    Exited,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGiven(function) => write!(f, "it called `{function}`"),
            Self::Exited => f.write_str("it ended its process"),
        }
    }
}

impl error::Error for Stopped {}

/// Defines every function of WASI that a component imports, under the version that it imports.
pub(crate) fn link(engine: &Engine, component: &Component, linker: &mut Linker<CallState>) -> Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        let ComponentItem::ComponentInstance(imported) = import.ty else { continue };
        if !is_answered(interface, version) {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (member, item) in imported.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => define(&mut instance, name, interface, member)?,
                ComponentItem::Resource(_) => {
                    instance.resource(member, ResourceType::host_dynamic(kind(member)), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn define(
    instance: &mut LinkerInstance<'_, CallState>,
    name: &str,
    interface: &str,
    member: &str,
) -> Result<()> {
    let Some(answer) = answers::find(interface, member) else {
        let function = format!("{name}#{member}");
        return instance
            .func_new(member, move |_, _, _, _| Err(Error::new(Stopped::NotGiven(function.clone()))));
    };
    instance.func_new(member, move |mut store, _, arguments, results| {
        let handle = release(&mut store, arguments)?;
        let reply = answer(store.data_mut(), handle, arguments)?;
        if let Some(result) = results.first_mut() {
            *result = match reply {
                Reply::Value(value) => value,
                Reply::Handle(resource, number) => Val::Resource(
                    ResourceDynamic::new_own(number, kind(resource)).try_into_resource_any(&mut store)?,
                ),
            };
        }
        Ok(())
    })
}

/// What a function of WASI gives back.
enum Reply {
    Value(Val),
    /// A new handle: the name of its resource, and a number of ours.
    Handle(&'static str, u32),
}

/// Lets go of the handles among the arguments and gives the number of the first: the object of a method.
fn release(store: &mut StoreContextMut<'_, CallState>, arguments: &[Val]) -> Result<u32> {
    let mut first = None;
    for argument in arguments {
        let handles = match argument {
            Val::List(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        for handle in handles {
            let Val::Resource(handle) = handle else { break };
            let number = handle.try_into_resource_dynamic(&mut *store)?.rep();
            first.get_or_insert(number);
        }
    }
    Ok(first.unwrap_or_default())
}

/// Tells resources apart by their names, which are unique in WASI (FNV-1a; nothing but difference matters).
fn kind(resource: &str) -> u32 {
    resource.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
