//! What a component imports and exports, read without running it.

use wasmparser::Parser;
use wit_component::DecodedWasm;

/// Imports and exports by the names of WIT: `package:name/interface@version`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interfaces {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

impl Interfaces {
    /// Those of a component; a sentence if it is none.
    pub(super) fn of(component: &[u8]) -> Result<Self, String> {
        // The decoder makes room for as much as a section says that it has, before it looks whether it has that.
        for payload in Parser::new(0).parse_all(component) {
            payload.map_err(|error| format!("this is no WebAssembly component: {error}"))?;
        }
        let decoded = wit_component::decode(component)
            .map_err(|error| format!("this is no WebAssembly component: {error:#}"))?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err("this is a WIT package, not a component; build the plugin first".to_owned());
        };
        let Some(world) = resolve.worlds.get(world) else { return Ok(Self::default()) };
        Ok(Self {
            imports: world.imports.keys().map(|key| resolve.name_world_key(key)).collect(),
            exports: world.exports.keys().map(|key| resolve.name_world_key(key)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_claims_more_than_the_file_has_is_refused_before_room_is_made_for_it() {
        // A custom section of two gigabytes, by its own word.
        let claims = [b"\0asm\x0d\0\x01\0".as_slice(), &[0, 0x80, 0x80, 0x80, 0x80, 0x08, 1, b'x']].concat();
        let refusal = Interfaces::of(&claims).unwrap_err();
        assert!(refusal.contains("unexpected end"), "{refusal}");
    }
}
