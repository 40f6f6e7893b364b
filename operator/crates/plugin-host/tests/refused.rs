//! Components that are wrong before they measure anything, written as text.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "the whole file is tests, and real time is what is limited"
)]

use std::time::{Duration, Instant};

use tollkeeper_core::{
    identity::Digest,
    plugin::{PluginFailure, PluginHost, PluginLimits},
};
use tollkeeper_plugin_host::{Compilation, Evaluation, HostSettings, WasmHost, fuel_for};

const LIMITS: PluginLimits =
    PluginLimits { memory: 1 << 20, time: Duration::from_millis(100), component: 1 << 20 };

async fn load_bytes(bytes: &[u8]) -> PluginFailure {
    let host = WasmHost::new(Evaluation::Inline).unwrap();
    let failure = host.load(bytes, &Digest::of(bytes), LIMITS).await.err().unwrap();
    // Whatever came before, the host still works as it did.
    assert_eq!(host.load(bytes, &Digest::of(bytes), LIMITS).await.err().unwrap(), failure);
    failure
}

async fn load(text: &str) -> PluginFailure {
    load_bytes(&wat::parse_str(text).unwrap()).await
}

/// A component with exports of the right names and a core module that runs when it is instantiated.
fn starting_with(module: &str) -> String {
    format!(
        r#"(component
            (core module $start {module})
            (core instance (instantiate $start))
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $meter (export "measure" (func $f)))
            (instance $describe (export "get-manifest" (func $f)) (export "validate-config" (func $f)))
            (export "tollkeeper:meter/meter@0.1.0" (instance $meter))
            (export "tollkeeper:meter/describe@0.1.0" (instance $describe)))"#
    )
}

#[tokio::test]
async fn other_bytes_than_the_product_names_are_not_even_parsed() {
    let host = WasmHost::new(Evaluation::Inline).unwrap();
    let named = Digest::of(b"what the vendor published");
    let failure = host.load(b"what the registry gave", &named, LIMITS).await.err().unwrap();
    assert_eq!(
        failure,
        PluginFailure::DigestMismatch { named, found: Digest::of(b"what the registry gave") }
    );
}

#[tokio::test]
async fn a_host_that_was_told_to_grant_less_refuses_whoever_asks_for_more() {
    let settings =
        HostSettings { evaluation: Evaluation::Inline, compilation: Compilation::Here, maxima: LIMITS };
    let host = WasmHost::with(settings).unwrap();
    for (asked, reason, named) in [
        (LIMITS, "InvalidComponent", ""),
        (PluginLimits { memory: LIMITS.memory + 1, ..LIMITS }, "PluginLimitsRefused", "memory 1048577 bytes"),
        (PluginLimits { time: Duration::from_millis(101), ..LIMITS }, "PluginLimitsRefused", "time 101ms"),
        (PluginLimits { component: 2 << 20, ..LIMITS }, "PluginLimitsRefused", "component 2097152 bytes"),
    ] {
        let refused = host.load(b"nothing", &Digest::of(b"nothing"), asked).await.err().unwrap();
        assert_eq!(refused.reason(), reason, "{refused}");
        assert!(refused.to_string().contains(named), "{refused}");
    }
}

#[tokio::test]
async fn a_core_module_is_refused_with_the_command_to_run() {
    let failure = load("(module)").await;
    assert!(failure.to_string().contains("wasm-tools component new"), "{failure}");
    assert_eq!(failure.reason(), "InvalidComponent");
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    let whole = wat::parse_str(starting_with("(func)")).unwrap();
    for bytes in [b"".as_slice(), b"\0asm", b"\x7fELF", &whole[..8 + 5], &whole[..whole.len() - 3]] {
        let failure = load_bytes(bytes).await;
        assert_eq!(failure.reason(), "InvalidComponent", "{failure}");
    }
    let failure = load_bytes(&vec![0; (1 << 20) + 1]).await;
    assert_eq!(failure.reason(), "PluginLimitPassed", "{failure}");
}

#[tokio::test]
async fn an_import_that_no_plugin_is_given_is_named() {
    for (import, named) in [
        (r#"(import "wasi:http/outgoing-handler@0.2.3" (instance))"#, "wasi:http/outgoing-handler@0.2.3"),
        (r#"(import "wasi:keyvalue/store@0.2.0" (instance))"#, "wasi:keyvalue/store@0.2.0"),
        (r#"(import "get-the-time" (func))"#, "get-the-time"),
        (
            r#"(import "tollkeeper:meter/log@0.1.0" (instance (export "flush" (func))))"#,
            "tollkeeper:meter/log@0.1.0#flush",
        ),
        (r#"(import "tollkeeper:meter/secrets@0.1.0" (instance))"#, "tollkeeper:meter/secrets@0.1.0"),
    ] {
        let failure = load(&format!("(component {import})")).await;
        assert_eq!(failure, PluginFailure::ForbiddenImport(named.into()));
    }
}

#[tokio::test]
async fn a_component_for_another_interface_is_refused() {
    for (text, named) in [
        ("(component)".into(), "tollkeeper:meter/meter@0.1.0"),
        (
            r#"(component (import "tollkeeper:meter/log@0.2.0" (instance)))"#.into(),
            "tollkeeper:meter/log@0.2.0",
        ),
        (
            r#"(component (import "tollkeeper:meter/log@0.1.0" (instance (export "write" (func)))))"#.into(),
            "tollkeeper:meter/log@0.1.0",
        ),
        (starting_with("(func)"), "0.1.0: meter: "),
    ] {
        let failure = load(text.as_str()).await;
        assert_eq!(failure.reason(), "UnsupportedInterface", "{failure}");
        assert!(failure.to_string().contains(named), "{failure}");
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_time_limit() {
    // Roots take time and hardly any fuel, on every machine.
    let roots = format!("{}(local.get 0){}", "(f64.sqrt ".repeat(20), ")".repeat(20));
    let start = Instant::now();
    let failure =
        load(&starting_with(&format!("(func $f (local f64) (loop (local.set 0 {roots}) br 0)) (start $f)")))
            .await;
    assert_eq!(failure, PluginFailure::TimedOut(LIMITS.time));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn a_loop_that_computes_ends_at_its_fuel_and_says_so() {
    let body = "(drop (i32.const 1))".repeat(100);
    let failure = load(&starting_with(&format!("(func $f (loop {body} br 0)) (start $f)"))).await;
    let fuel = fuel_for(LIMITS.time);
    assert_eq!(failure.reason(), "PluginTimedOut");
    // On a machine that is busy with other things the clock is faster.
    if failure != PluginFailure::TimedOut(LIMITS.time) {
        assert_eq!(failure, PluginFailure::OutOfFuel { fuel, time: LIMITS.time });
        assert!(failure.to_string().contains(&format!("{fuel} units of fuel")), "{failure}");
    }
}

#[tokio::test]
async fn a_memory_bomb_ends_at_the_memory_limit() {
    for module in [
        "(memory 1) (func $f (loop (drop (memory.grow (i32.const 1))) br 0)) (start $f)",
        "(memory 1000)",
        "(memory 9) (memory 9)",
        "(table 1 funcref) (func $f (drop (table.grow (ref.null func) (i32.const 1000000)))) (start $f)",
    ] {
        assert_eq!(load(&starting_with(module)).await, PluginFailure::OutOfMemory(LIMITS.memory), "{module}");
    }
}

#[tokio::test]
async fn a_component_of_too_many_parts_is_refused() {
    let part = r#"(core module $part (memory 0)) (core instance (instantiate $part))"#;
    let many = |count| {
        let parts: String = (0..count).map(|n| part.replace("$part", &format!("$part{n}"))).collect();
        starting_with("(func)").replacen("(component", &format!("(component {parts}"), 1)
    };
    assert_eq!(load(&many(16)).await.reason(), "UnsupportedInterface");
    for failure in [load(&many(17)).await, load(&many(63)).await] {
        assert_eq!(failure.reason(), "PluginLimitPassed", "{failure}");
    }
}

#[tokio::test]
async fn a_trap_while_starting_is_a_trap() {
    for (module, named) in [
        ("(func $f unreachable) (start $f)", "unreachable"),
        ("(func $f (call $f) (call $f)) (start $f)", "stack"),
        ("(func $f (drop (i32.div_u (i32.const 1) (i32.const 0)))) (start $f)", "divide by zero"),
        ("(memory 1) (func $f (drop (i32.load (i32.const 65536)))) (start $f)", "out of bounds"),
    ] {
        let failure = load(&starting_with(module)).await;
        assert!(matches!(&failure, PluginFailure::Trapped(why) if why.contains(named)), "{failure}");
    }
}

#[tokio::test]
async fn webassembly_that_differs_between_machines_is_refused() {
    for module in [
        "(memory i64 1)",
        "(memory 1 (pagesize 1))",
        "(func $f (return_call $f))",
        "(func (param i64 i64 i64 i64) (result i64 i64)
            (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))",
        "(type $s (struct (field i32))) (func (drop (struct.new_default $s)))",
        "(func (result anyref) (ref.null any))",
        "(func (param v128 v128 v128) (result v128)
            (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))",
        "(memory 1 1 shared)",
    ] {
        let failure = load(&starting_with(module)).await;
        assert_eq!(failure.reason(), "InvalidComponent", "{module}: {failure}");
    }
}
