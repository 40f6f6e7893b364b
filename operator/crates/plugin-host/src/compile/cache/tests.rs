use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

use wasmtime::Engine;

use super::*;

struct Bench {
    folder: tempfile::TempDir,
    engine: EngineHash,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), engine: EngineHash::of(&Engine::default()) }
    }

    fn open(&self, most: u64) -> Cache {
        Cache::open(self.folder.path(), most, self.engine).unwrap()
    }

    /// Names of the files in the folder.
    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path().join(FOLDER)).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn digest(name: u8) -> Digest {
    Digest::of(&[name])
}

fn keep(cache: &mut Cache, name: u8) -> PathBuf {
    let mut blank = cache.blank().unwrap();
    blank.write_all(&[name; 100]).unwrap();
    place(&cache.keep(&digest(name), blank).unwrap())
}

/// The path that the file was opened under.
fn place(whole: &Whole) -> PathBuf {
    fs::read_link(whole.path().unwrap()).unwrap()
}

#[test]
fn what_was_kept_is_found_after_a_restart() {
    let bench = Bench::new();
    let path = keep(&mut bench.open(1000), 1);
    let mut cache = bench.open(1000);
    assert_eq!(place(&cache.find(&digest(1)).unwrap()), path);
    assert!(cache.find(&digest(2)).is_none());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_damaged_a_foreign_and_an_unfinished_file_are_removed() {
    let bench = Bench::new();
    let whole = keep(&mut bench.open(1000), 1);
    let damaged = keep(&mut bench.open(1000), 2);
    fs::write(&damaged, [2; 99]).unwrap();
    fs::write(whole.with_file_name("evil.cwasm"), "evil").unwrap();
    fs::write(whole.with_file_name(".partial-x"), "half").unwrap();
    let linked = whole.with_file_name(damaged.file_name().unwrap().to_str().unwrap().replace('2', "3"));
    std::os::unix::fs::symlink(&whole, linked).unwrap();
    let mut cache = bench.open(1000);
    assert!(cache.find(&digest(1)).is_some());
    assert!(cache.find(&digest(2)).is_none());
    assert_eq!(bench.files(), [whole]);
}

#[test]
fn a_file_that_changes_under_a_running_operator_is_not_used() {
    let bench = Bench::new();
    let mut cache = bench.open(1000);
    let path = keep(&mut cache, 1);
    fs::write(&path, [9; 100]).unwrap();
    assert!(cache.find(&digest(1)).is_none());
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
    keep(&mut cache, 1);
    fs::remove_file(path).unwrap();
    assert!(cache.find(&digest(1)).is_none());
    keep(&mut cache, 1);
    assert!(cache.find(&digest(1)).is_some());
}

#[test]
fn what_is_held_outlives_its_name_and_not_a_change() {
    let bench = Bench::new();
    let mut cache = bench.open(1000);
    let path = keep(&mut cache, 1);
    let held = cache.find(&digest(1)).unwrap();
    let mut writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    cache.discard(&digest(1));
    assert!(!path.exists());
    assert_eq!(fs::read(held.path().unwrap()).unwrap(), [1; 100]);
    writer.write_all(b"more").unwrap();
    assert_eq!(held.path().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let bench = Bench::new();
    let mut cache = bench.open(300);
    for name in [1, 2, 3] {
        keep(&mut cache, name);
    }
    assert!(cache.find(&digest(1)).is_some());
    keep(&mut cache, 4);
    assert!(cache.find(&digest(2)).is_none());
    assert!([1, 3, 4].iter().all(|name| cache.find(&digest(*name)).is_some()));
    assert_eq!((cache.bytes(), bench.files().len()), (300, 3));
}

#[test]
fn code_for_another_engine_is_not_found_and_counts_until_there_is_no_room() {
    let bench = Bench::new();
    keep(&mut bench.open(200), 1);
    let mut config = wasmtime::Config::new();
    config.consume_fuel(true);
    let other = EngineHash::of(&Engine::new(&config).unwrap());
    let mut cache = Cache::open(bench.folder.path(), 200, other).unwrap();
    assert!(cache.find(&digest(1)).is_none());
    keep(&mut cache, 2);
    assert_eq!(cache.bytes(), 200);
    keep(&mut cache, 3);
    assert!([2, 3].iter().all(|name| cache.find(&digest(*name)).is_some()));
    assert_eq!(bench.files().len(), 2);
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let bench = Bench::new();
    let folder = bench.folder.path().join(FOLDER);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Cache::open(bench.folder.path(), 1000, bench.engine).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
}
