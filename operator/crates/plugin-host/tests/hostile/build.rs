//! From a guest's own text to a component. The tests of `tollkeeper plugin check` include this file too.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The version of the interface that guests are built with.
pub(crate) const VERSION: &str = "0.1.0";

const WIT: &str = include_str!("../../../../../plugins/wit/meter.wit");

const SKELETON: &str = include_str!("skeleton.wat");

/// What a guest has unless it exports the same itself.
const DEFAULTS: [(&str, &str); 4] = [
    ("\"cabi_realloc\"", include_str!("default-realloc.wat")),
    ("describe@0.1.0#get-manifest\"", include_str!("default-describe.wat")),
    ("describe@0.1.0#validate-config\"", include_str!("default-config.wat")),
    ("meter@0.1.0#measure\"", include_str!("default-measure.wat")),
];

/// What a guest may import beside the log.
const RANDOM: &str = "package wasi:random@0.2.0; interface random { get-random-u64: func() -> u64; }";

/// Skeleton, defaults and the guest's own text as a component for a version of the interface. Imports come first in a module:
/// those of a guest have a line each.
pub(crate) fn build(own: &str, version: &str) -> Vec<u8> {
    let (imports, own): (Vec<&str>, Vec<&str>) = own.lines().partition(|line| line.starts_with("(import "));
    let own = own.join("\n");
    let defaults = DEFAULTS.iter().filter(|(export, _)| !own.contains(export)).map(|(_, text)| *text);
    let defaults = defaults.collect::<Vec<_>>().join("\n");
    let module = format!("(module {}\n{SKELETON}\n{defaults}\n{own})", imports.join("\n"))
        .replace(&format!("@{VERSION}#"), &format!("@{version}#"))
        .replace(&format!("log@{VERSION}\""), &format!("log@{version}\""));
    let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{own}"));
    let mut resolve = Resolve::default();
    let mut wit = WIT.replace(&format!("meter@{VERSION}"), &format!("meter@{version}"));
    if !imports.is_empty() {
        resolve.push_str("random.wit", RANDOM).unwrap();
        wit = wit.replace("world plugin {", "world plugin { import wasi:random/random@0.2.0;");
    }
    let package = resolve.push_str("meter.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
