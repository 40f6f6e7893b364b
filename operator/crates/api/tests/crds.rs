//! The committed definitions are those of the code.

use std::{env, fs, path::Path};

/// With `UPDATE=1` the files are written anew.
#[test]
fn the_committed_definitions_are_those_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crds");
    let definitions = tollkeeper_api::crds_yaml().unwrap();
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, yaml) in &definitions {
            fs::write(folder.join(name), yaml).unwrap();
        }
    }
    for (name, yaml) in &definitions {
        let committed = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            &committed == yaml,
            "crds/{name} differs from the code: run `UPDATE=1 cargo test -p tollkeeper-api --test crds`"
        );
    }
    let files = fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, definitions.len(), "crds/ holds files that no kind has");
}
