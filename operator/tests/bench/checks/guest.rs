//! Meters of one dimension, `d`, that pass every check but for what a test adds to them.

use crate::build::{VERSION, build};

/// What a meter is, and what it does before it does what is right.
pub(super) struct Guest {
    pub(super) dimensions: &'static [&'static str],
    pub(super) inputs: &'static [&'static str],
    pub(super) schema: &'static str,
    /// In `get-manifest`.
    pub(super) describe: &'static str,
    /// In `validate-config`, with `$length`, the bytes of the configuration.
    pub(super) validate: &'static str,
    /// In `measure`, with `$count` of inputs, and of the first its `$kind`, `$value` and the `$rows` of its list; `$bytes` of
    /// state, and `$missing`, `$internal` and `$unit` to return.
    pub(super) measure: &'static str,
    /// Beside the functions: imports.
    pub(super) imports: &'static str,
}

/// Nothing is wrong with it: it takes an empty configuration, and measures 1 if there is anything to measure.
pub(super) const GOOD: Guest = Guest {
    dimensions: &["d"],
    // Without one it is not asked about megabytes of it.
    inputs: &[],
    schema: "{}",
    describe: "",
    validate: "",
    measure: "",
    imports: "",
};

/// Where the manifest lies, and then what it points to.
const MANIFEST: usize = 2048;

impl Guest {
    pub(super) fn component(&self) -> Vec<u8> {
        let Self { describe, validate, measure, imports, .. } = self;
        let frame = include_str!("frame.wat")
            .replace(";; describe", describe)
            .replace(";; validate", validate)
            .replace(";; measure", measure);
        build(&format!("{imports}\n{}\n{frame}", self.manifest()), VERSION)
    }

    /// Bytes as `get-manifest` returns them.
    fn manifest(&self) -> String {
        let mut rest = Vec::new();
        let list = |names: &[&str], rest: &mut Vec<u8>| {
            let texts: Vec<(usize, usize)> = names.iter().map(|name| place(name.as_bytes(), rest)).collect();
            let rows: Vec<u8> = texts.into_iter().flat_map(pointer).collect();
            (place(&rows, rest).0, names.len())
        };
        let parts = [
            place(b"meter", &mut rest),
            place(b"1", &mut rest),
            list(self.dimensions, &mut rest),
            list(self.inputs, &mut rest),
            place(self.schema.as_bytes(), &mut rest),
        ];
        let bytes = parts.into_iter().flat_map(pointer).chain(rest);
        let bytes: String = bytes.map(|byte| format!("\\{byte:02x}")).collect();
        format!("(data (i32.const {MANIFEST}) \"{bytes}\")")
    }
}

/// Five pointers of eight bytes are before the rest.
fn place(bytes: &[u8], rest: &mut Vec<u8>) -> (usize, usize) {
    rest.resize(rest.len().next_multiple_of(4), 0);
    let at = MANIFEST + 40 + rest.len();
    rest.extend(bytes);
    (at, bytes.len())
}

fn pointer((at, length): (usize, usize)) -> [u8; 8] {
    let number = |number| u64::try_from(number).unwrap();
    (number(at) | number(length) << 32).to_le_bytes()
}
