//! For every check the components that it finds something wrong with, and its words about each.

use super::guest::{GOOD, Guest};

/// What is checked.
pub(super) enum Of {
    Guest(Guest),
    /// A component as text.
    Text(&'static str),
    Bytes(Vec<u8>),
}

/// A component, and the one thing that is said about it.
pub(super) struct Case {
    pub(super) of: Of,
    /// Values of `i`, one a minute. Without any there is no trace.
    pub(super) trace: &'static [u8],
    /// The product's dimension; without one there is no product.
    pub(super) sells: Option<&'static str>,
    pub(super) arguments: &'static [&'static str],
    pub(super) check: &'static str,
    pub(super) status: &'static str,
    pub(super) message: &'static str,
    pub(super) advice: &'static str,
}

impl Case {
    fn failed(check: &'static str, of: Of, message: &'static str, advice: &'static str) -> Self {
        Self { of, trace: &[1], sells: None, arguments: &[], check, status: "failed", message, advice }
    }

    pub(super) fn warned(check: &'static str, of: Of, message: &'static str, advice: &'static str) -> Self {
        Self { status: "warned", ..Self::failed(check, of, message, advice) }
    }
}

pub(super) fn all() -> Vec<Case> {
    [statics(), configuration(), inputs(), outcomes()].into_iter().flatten().collect()
}

fn measuring(measure: &'static str) -> Of {
    Of::Guest(Guest { measure, inputs: &["i"], ..GOOD })
}

fn validating(validate: &'static str) -> Of {
    Of::Guest(Guest { validate, ..GOOD })
}

fn statics() -> Vec<Case> {
    let schema = |schema| Of::Guest(Guest { schema, ..GOOD });
    vec![
        Case::failed(
            "component",
            Of::Bytes(b"nonsense".to_vec()),
            "not a usable WebAssembly component: it is not WebAssembly at all",
            "build a component: `tollkeeper plugin build` does, `wasm-tools component new` makes one of a core module",
        ),
        Case::failed(
            "component",
            Of::Text("(module)"),
            "not a usable WebAssembly component: it is a core module; make a component of it with `wasm-tools component new meter.wasm -o component.wasm`",
            "build a component: `tollkeeper plugin build` does, `wasm-tools component new` makes one of a core module",
        ),
        Case::failed(
            "size",
            Of::Bytes(vec![0; (4 << 20) + 1]),
            "4194305 of at most 4194304 bytes",
            "build it without debug information and what is not used, or ask for more with spec.meter.plugin.limits.component (at most 32Mi)",
        ),
        Case::failed(
            "imports",
            Of::Text("(component (import \"wasi:http/types@0.2.0\" (instance)))"),
            "the component imports `wasi:http/types@0.2.0`, which no plugin is given",
            "a meter is given its inputs and a log, and nothing else: leave out what asks for more, or build without it",
        ),
        Case::failed(
            "interface",
            Of::Text("(component)"),
            "the component does not implement tollkeeper:meter@0.1.0: no exported instance named `tollkeeper:meter/meter@0.1.0`",
            "build it against the world `plugin` of tollkeeper:meter@0.1.0, as `tollkeeper plugin new` sets it up",
        ),
        Case {
            trace: &[],
            ..Case::failed(
                "manifest",
                Of::Guest(Guest { dimensions: &[], ..GOOD }),
                "it names no dimension",
                "name what `measure` reports",
            )
        },
        Case::failed(
            "manifest",
            Of::Guest(Guest { dimensions: &["d", "d"], ..GOOD }),
            "it names `d` twice",
            "name each once",
        ),
        Case::failed(
            "manifest",
            Of::Guest(Guest { inputs: &["i", "i"], ..GOOD }),
            "it names `i` twice",
            "name each once",
        ),
        Case::failed(
            "manifest",
            Of::Guest(Guest { dimensions: &["a b"], ..GOOD }),
            "the plugin returned something invalid: the manifest: the dimension `a b` is not 1 to 255 characters of [a-zA-Z0-9_-] that start with a letter",
            "let `get-manifest` return what the sentence asks for; dimensions are API names of the seller portal",
        ),
        Case::failed(
            "manifest",
            Of::Guest(Guest { describe: "unreachable", ..GOOD }),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "`get-manifest` must answer at once, without inputs and within the limits; look at its code",
        ),
        Case::failed(
            "config-schema",
            schema("nonsense"),
            "it is not a JSON object: expected ident at line 1 column 2",
            "write the JSON schema of spec.meter.config; `{\"type\": \"object\"}` says nothing and is one",
        ),
        Case::failed(
            "config-schema",
            schema("{\"type\": \"array\"}"),
            "its type is not `object`",
            "spec.meter.config is always a JSON object; describe its properties",
        ),
        Case::failed(
            "config-schema",
            schema("{\"properties\": {\"n\": {\"default\": 1}}}"),
            "with the defaults that it names, the plugin refuses its configuration: what is that?",
            "let schema and code say the same",
        ),
    ]
}

fn configuration() -> Vec<Case> {
    vec![
        Case::failed(
            "config",
            validating("(if (i32.eqz (local.get $length)) (then unreachable))"),
            "asked about the configuration ``, the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "return an error for what is not a configuration",
        ),
        Case {
            arguments: &["--config", "{\"a\": 1}"],
            ..Case::failed(
                "config",
                Of::Guest(GOOD),
                "the plugin refuses its configuration: what is that?",
                "name a product with --product or a configuration with --config that it takes",
            )
        },
        Case::failed(
            "unknown-config",
            validating("(if (i32.gt_u (local.get $length) (i32.const 8)) (then unreachable))"),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "return an error for what it does not know",
        ),
        Case::warned(
            "unknown-config",
            validating("(if (local.get $length) (then (return (call $accepted))))"),
            "it takes a key that it cannot know",
            "refuse unknown keys of the configuration: a typing error would change a bill without a word",
        ),
    ]
}

fn inputs() -> Vec<Case> {
    vec![
        Case::failed(
            "no-inputs",
            measuring("(if (i32.eqz (local.get $count)) (then unreachable))"),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "an input that is not there is `missing-input`",
        ),
        Case::failed(
            "unavailable-inputs",
            measuring("(if (i32.eq (local.get $kind) (i32.const 4)) (then unreachable))"),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "return `missing-input`",
        ),
        Case::warned(
            "unavailable-inputs",
            measuring(
                "(if (i32.eq (local.get $kind) (i32.const 4)) (then (return (call $unit (i32.const 0)))))",
            ),
            "with no input to be had it still makes readings: 1",
            "return `missing-input`: readings that are left out say that the usage has ended",
        ),
        Case::warned(
            "unavailable-inputs",
            measuring("(if (i32.eq (local.get $kind) (i32.const 4)) (then (return (call $internal))))"),
            "the plugin failed: out of order",
            "return `missing-input`: then the condition names the input, and not the plugin",
        ),
        Case::failed(
            "empty-inputs",
            measuring("(if (i32.eqz (i32.or (local.get $kind) (local.get $rows))) (then unreachable))"),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "handle inputs that hold nothing, or something of another kind",
        ),
        Case::failed(
            "odd-values",
            measuring("(if (f64.ne (local.get $value) (local.get $value)) (then unreachable))"),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "refuse or ignore a number that is no amount, and say so in the log",
        ),
        Case::failed(
            "huge-inputs",
            measuring(
                "(if (i32.and (i32.eqz (local.get $kind)) (i32.gt_u (local.get $rows) (i32.const 1000))) (then unreachable))",
            ),
            "the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
            "handle as many objects and samples as a large cluster has",
        ),
        Case::warned(
            "huge-inputs",
            measuring(
                "(if (i32.and (i32.eqz (local.get $kind)) (i32.gt_u (local.get $rows) (i32.const 1000)))
                  (then (drop (memory.grow (i32.const 1000)))))",
            ),
            "with 8 MiB of input: the plugin was stopped at its memory limit of 67108864 bytes",
            "raise spec.meter.plugin.limits (at most 1Gi and 10s) where clusters are that large, or declare fewer fields and metrics",
        ),
    ]
}

const RANDOM: &str = "(import \"wasi:random/random@0.2.0\" \"get-random-u64\" (func $random (result i64)))";

fn outcomes() -> Vec<Case> {
    let by_chance = |measure| Of::Guest(Guest { measure, imports: RANDOM, inputs: &["i"], ..GOOD });
    let with_a_trace = |measure| Of::Guest(Guest { measure, ..GOOD });
    let two = &["d", "e"];
    vec![
        Case::failed(
            "determinism",
            by_chance(
                "(if (i32.eq (local.get $kind) (i32.const 2))
                  (then (i64.store (i32.const 320) (call $random)) (return (call $unit (i32.const 8)))))",
            ),
            "with other random numbers the same tick left another state",
            "leave out randomness and hash maps with random seeds: sort before you report",
        ),
        Case::failed(
            "determinism",
            by_chance(
                "(i64.store (i32.const 256)
                  (i64.or (i64.const 0x3030303030303030) (i64.and (i64.const 0x0707070707070707) (call $random))))
                (if (i32.eq (local.get $kind) (i32.const 2))
                  (then
                    (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 8))
                    (return (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))))",
            ),
            "with other random numbers the same tick gave other readings",
            "leave out randomness and hash maps with random seeds: sort before you report",
        ),
        Case {
            trace: &[],
            ..Case::failed(
                "determinism",
                by_chance(
                    "(i64.store (i32.const 304)
                      (i64.or (i64.const 0x3030303030303030) (i64.and (i64.const 0x0707070707070707) (call $random))))
                    (if (i32.eq (local.get $kind) (i32.const 2)) (then (return (call $internal))))",
                ),
                "with other random numbers the same tick ended otherwise",
                "leave out randomness and hash maps with random seeds: sort before you report",
            )
        },
        Case::failed("state", with_a_trace("(if (i32.eq (local.get $bytes) (i32.const 3)) (then unreachable))"), "handed a state that is not its own, the plugin trapped: wasm trap: wasm `unreachable` instruction executed", "return `internal` for a state that cannot be read, or begin anew"),
        Case::failed(
            "state",
            with_a_trace(
                "(if (i32.eq (local.get $bytes) (i32.const 1)) (then (return (call $internal))))
                (if (i32.eq (local.get $kind) (i32.const 2)) (then (return (call $unit (i32.const 1)))))",
            ),
            "handed its own state, the plugin failed: out of order",
            "read what the last tick wrote",
        ),
        Case {
            trace: &[1, 2],
            ..Case::failed(
                "state",
                with_a_trace("(if (f64.eq (local.get $value) (f64.const 2)) (then (return (call $missing))))"),
                "the plugin lacks an input: no input",
                "make the last tick of the trace measurable",
            )
        },
        Case::failed("dimensions", Of::Guest(Guest { dimensions: &["e"], ..GOOD }), "it reports `d`, which its manifest does not name", "name every dimension in `get-manifest`"),
        Case { sells: Some("d"), ..Case::warned("dimensions", Of::Guest(Guest { dimensions: two, ..GOOD }), "the product does not sell `e`, which the plugin can measure", "a reading of it makes the whole tick a missed one: add the dimension, or configure the plugin not to measure it") },
        Case::warned("dimensions", Of::Guest(Guest { dimensions: two, ..GOOD }), "the trace makes no reading of `e`", "let the trace show every dimension once"),
        Case {
            trace: &[7, 1],
            ..Case::failed(
                "trace",
                with_a_trace("(if (f64.eq (local.get $value) (f64.const 7)) (then unreachable))"),
                "2026-11-01T00:00:00Z: the plugin trapped: wasm trap: wasm `unreachable` instruction executed",
                "`tollkeeper plugin run --trace` shows every tick",
            )
        },
        Case {
            trace: &[2],
            ..Case::failed(
                "trace",
                with_a_trace("(if (f64.eq (local.get $value) (f64.const 2)) (then (return (call $missing))))"),
                "none of 1 ticks was measured",
                "let the trace hold every input that the plugin needs",
            )
        },
    ]
}
