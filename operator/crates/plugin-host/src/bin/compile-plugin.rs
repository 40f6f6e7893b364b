//! The compiling process as a program of its own, for the tests and benches of this crate. The operator starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    let memory = std::env::args().skip_while(|argument| argument != "--memory").nth(1);
    match memory.and_then(|memory| memory.parse().ok()) {
        Some(memory) => tollkeeper_plugin_host::compile_standard_input(memory),
        None => ExitCode::from(2),
    }
}
