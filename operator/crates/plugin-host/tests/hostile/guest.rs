//! Guests of `guests`, from text to component.

use std::{fs, path::Path};

use crate::build::{VERSION, build};

/// Where a guest comes to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Load,
    Config,
    Tick,
}

/// A guest, and what its file says about its end.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) component: Vec<u8>,
    pub(crate) stage: Stage,
    /// `ok` or the reason of a failure.
    pub(crate) reason: String,
    /// Words of the message.
    pub(crate) words: String,
}

/// All guests, in the order of their names.
pub(crate) fn all() -> Vec<Guest> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

/// The component of a guest.
pub(crate) fn named(name: &str) -> Vec<u8> {
    read(&folder().join(format!("{name}.wat"))).component
}

/// A guest that means no harm; each number is another component.
pub(crate) fn good(number: u32) -> Vec<u8> {
    build(&format!("(data (i32.const 300) \"{number}\")"), VERSION)
}

/// A guest that means no harm, built with another version of the interface.
pub(crate) fn good_for(version: &str) -> Vec<u8> {
    build("", version)
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/guests")
}

fn read(file: &Path) -> Guest {
    let text = fs::read_to_string(file).unwrap();
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let fate = text.lines().next().and_then(|line| line.strip_prefix(";; ")).unwrap();
    let (end, words) = fate.split_once(": ").unwrap_or((fate, ""));
    let (stage, reason) = end.split_once(' ').unwrap();
    let stage = match stage {
        "load" => Stage::Load,
        "config" => Stage::Config,
        "tick" => Stage::Tick,
        other => panic!("{name}: `{other}` is no stage"),
    };
    let is_whole = text.lines().any(|line| line.starts_with("(component") || line.starts_with("(module"));
    let component = if is_whole { wat::parse_str(&text).unwrap() } else { build(&text, VERSION) };
    Guest { name, component, stage, reason: reason.to_owned(), words: words.to_owned() }
}
