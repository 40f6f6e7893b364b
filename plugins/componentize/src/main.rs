//! `tollkeeper-componentize MODULE COMPONENT`, for `plugins/build`.

use std::{env, fs, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, component] = arguments.as_slice() else {
        return complain("usage: tollkeeper-componentize MODULE COMPONENT", 2);
    };
    match componentize(module, component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => complain(&why, 1),
    }
}

fn componentize(module: &str, component: &str) -> Result<(), String> {
    let bytes = fs::read(module).map_err(|error| format!("{module}: {error}"))?;
    let encoded = tollkeeper_componentize::component(&bytes).map_err(|error| format!("{module}: {error}"))?;
    fs::write(component, encoded).map_err(|error| format!("{component}: {error}"))
}

#[allow(clippy::print_stderr, reason = "a tool on the command line")]
fn complain(why: &str, code: u8) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(code)
}
