//! The functions of WASI that a language's library calls when nothing is wrong, and what they say.

use wasmtime::{Error, Result, component::Val};

use super::{
    Reply, Stopped,
    world::{ERRORS, OUTPUT},
};
use crate::call::CallState;

/// Given the number of the object whose method it is, and all arguments.
pub(super) type Answer = fn(&mut CallState, u32, &[Val]) -> Result<Reply>;

/// What a stream takes at once. Libraries ask before they write.
const WRITABLE: u64 = 4 << 10;

/// Bytes of randomness at once: seeds and hash keys are far shorter.
const MAX_RANDOM: u64 = 64 << 10;

/// The answer of a function, if it has one.
pub(super) fn find(interface: &str, member: &str) -> Option<Answer> {
    Some(match (interface, member) {
        ("wasi:cli/environment", "get-environment" | "get-arguments")
        | ("wasi:filesystem/preopens", "get-directories") => |_, _, _| value(Val::List(Vec::new())),
        ("wasi:cli/environment", "initial-cwd")
        | ("wasi:cli/terminal-stdin", "get-terminal-stdin")
        | ("wasi:cli/terminal-stdout", "get-terminal-stdout")
        | ("wasi:cli/terminal-stderr", "get-terminal-stderr")
        | ("wasi:filesystem/types", "filesystem-error-code") => |_, _, _| value(Val::Option(None)),
        ("wasi:cli/exit", _) => |_, _, _| Err(Error::new(Stopped::Exited)),
        ("wasi:cli/stdin", "get-stdin") => |_, _, _| Ok(Reply::Handle("input-stream", 0)),
        ("wasi:cli/stdout", "get-stdout") => |_, _, _| Ok(Reply::Handle("output-stream", OUTPUT)),
        ("wasi:cli/stderr", "get-stderr") => |_, _, _| Ok(Reply::Handle("output-stream", ERRORS)),
        ("wasi:io/error", "[method]error.to-debug-string") => |_, _, _| value(Val::String(String::new())),
        ("wasi:io/poll", member) => poll(member)?,
        ("wasi:io/streams", member) => stream(member)?,
        ("wasi:clocks/monotonic-clock", member) => monotonic_clock(member)?,
        ("wasi:clocks/wall-clock", "now") => |state, _, _| {
            let now = state.world.nanoseconds();
            value(datetime(now / 1_000_000_000, now % 1_000_000_000))
        },
        ("wasi:clocks/wall-clock", "resolution") => |_, _, _| value(datetime(0, 1)),
        ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => {
            |state, _, _| value(Val::U64(state.world.random()))
        }
        ("wasi:random/random", "get-random-bytes")
        | ("wasi:random/insecure", "get-insecure-random-bytes") => {
            |state, _, arguments| random_bytes(state, arguments)
        }
        ("wasi:random/insecure-seed", _) => |state, _, _| {
            value(Val::Tuple(vec![Val::U64(state.world.random()), Val::U64(state.world.random())]))
        },
        _ => return None,
    })
}

fn value(value: Val) -> Result<Reply> {
    Ok(Reply::Value(value))
}

fn ok(inner: Option<Val>) -> Result<Reply> {
    value(Val::Result(Ok(inner.map(Box::new))))
}

fn pollable(_: &mut CallState, _: u32, _: &[Val]) -> Result<Reply> {
    Ok(Reply::Handle("pollable", 0))
}

/// Everything is ready at once: nothing will ever become readable, and time does not pass.
fn poll(member: &str) -> Option<Answer> {
    Some(match member {
        "[method]pollable.ready" => |_, _, _| value(Val::Bool(true)),
        "[method]pollable.block" => |_, _, _| value(Val::Bool(true)),
        "poll" => |_, _, arguments| {
            let Some(Val::List(all)) = arguments.first() else { return value(Val::List(Vec::new())) };
            let indices = (0_u32..).zip(all).map(|(index, _)| Val::U32(index));
            value(Val::List(indices.collect()))
        },
        _ => return None,
    })
}

fn stream(member: &str) -> Option<Answer> {
    Some(match member {
        "[method]input-stream.subscribe" | "[method]output-stream.subscribe" => pollable,
        "[method]input-stream.read"
        | "[method]input-stream.blocking-read"
        | "[method]input-stream.skip"
        | "[method]input-stream.blocking-skip" => {
            |_, _, _| value(Val::Result(Err(Some(Box::new(Val::Variant("closed".into(), None))))))
        }
        "[method]output-stream.check-write" => |_, _, _| ok(Some(Val::U64(WRITABLE))),
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => |_, _, _| ok(None),
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            |state, stream, arguments| {
                if let Some(Val::List(bytes)) = arguments.get(1) {
                    let bytes = bytes.iter().map(|byte| if let Val::U8(byte) = byte { *byte } else { b'?' });
                    state.world.print(stream, bytes, &mut state.log);
                }
                ok(None)
            }
        }
        _ => return None,
    })
}

fn monotonic_clock(member: &str) -> Option<Answer> {
    Some(match member {
        // Go's runtime gives up where this clock says zero, as it would outside of a tick.
        "now" => |state, _, _| value(Val::U64(state.world.nanoseconds().max(1))),
        "resolution" => |_, _, _| value(Val::U64(1)),
        "subscribe-instant" | "subscribe-duration" => pollable,
        _ => return None,
    })
}

fn datetime(seconds: u64, nanoseconds: u64) -> Val {
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or_default();
    Val::Record(vec![("seconds".into(), Val::U64(seconds)), ("nanoseconds".into(), Val::U32(nanoseconds))])
}

fn random_bytes(state: &mut CallState, arguments: &[Val]) -> Result<Reply> {
    let wanted = match arguments.first() {
        Some(Val::U64(wanted)) if *wanted <= MAX_RANDOM => usize::try_from(*wanted)?,
        _ => {
            return Err(Error::new(Stopped::NotGiven(format!("get-random-bytes of more than {MAX_RANDOM}"))));
        }
    };
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        bytes.extend(state.world.random().to_le_bytes().map(Val::U8));
    }
    bytes.truncate(wanted);
    value(Val::List(bytes))
}
