//! `tollkeeper plugin new` and `tollkeeper plugin build`, as the vendors' pages use them.

use std::{env, fs, path::Path, process::Command};

use crate::{compiled, fails, scratch, sdk, text};

/// Runs the commands of a page of `docs/vendors` as they stand, in a folder. Blocks of `console` are for people: they
/// install what is there already.
pub(crate) fn said_by_page(page: &str, commands: usize, folder: &Path) -> String {
    let path = sdk().join("../../docs/vendors").join(page).with_extension("md");
    let page_text = fs::read_to_string(path).unwrap();
    let blocks = page_text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    assert!(script.matches("tollkeeper ").count() >= commands, "{script}");
    let binary = Path::new(env!("CARGO_BIN_EXE_tollkeeper"));
    let mut path = vec![binary.parent().unwrap().to_owned()];
    // The tools that the tests' installation fetches stand in for those that a person installs.
    path.extend(env::var("TOLLKEEPER_GO").iter().map(|go| Path::new(go).parent().unwrap().to_owned()));
    path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder)
        .env("PATH", env::join_paths(path).unwrap())
        // A debug build of the host on a busy machine is no measure of a meter.
        .env("TOLLKEEPER_TIME", "10s")
        .env("TOLLKEEPER_CACHE_DIR", compiled())
        .env("TMPDIR", scratch(&format!("temporary-{page}")))
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{page}: {said}\n{errors}");
    said.into_owned()
}

fn runs_as_it_is_written(page: &str) {
    let said = said_by_page(page, 7, &scratch(&format!("docs-{page}")));
    assert!(said.contains("nothing was billed twice"), "{page}: {said}");
}

#[test]
fn the_page_for_rust_runs_as_it_is_written() {
    runs_as_it_is_written("rust");
}

#[test]
fn the_page_for_go_runs_as_it_is_written() {
    runs_as_it_is_written("go");
}

#[test]
fn the_page_for_javascript_runs_as_it_is_written() {
    runs_as_it_is_written("js");
}

#[test]
fn the_page_for_python_runs_as_it_is_written() {
    runs_as_it_is_written("python");
}

#[test]
fn nothing_is_overwritten() {
    let parent = scratch("overwritten");
    fs::create_dir(parent.join("seats")).unwrap();
    let said = fails(&["plugin", "new", "seats", "--lang", "rust", "--in", text(&parent)]);
    assert!(said.contains("nothing is overwritten"), "{said}");
    assert_eq!(fs::read_dir(parent.join("seats")).unwrap().count(), 0);
    let said = fails(&["plugin", "new", "Seats!", "--lang", "rust", "--in", text(&parent)]);
    assert!(said.contains("no name for a meter"), "{said}");
}

#[test]
fn a_folder_without_a_project_is_not_built() {
    let said = fails(&["plugin", "build", text(&scratch("no-project"))]);
    assert!(said.contains("Cargo.toml") && said.contains("tollkeeper plugin new"), "{said}");
}
