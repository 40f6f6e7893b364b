use super::*;

fn folder(path: &Path, hours: u32, bytes: u64) -> Folder {
    Folder::open(path, Bounds { hours, bytes }).unwrap()
}

fn files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn hour(number: i64) -> BillingHour {
    BillingHour::of(jiff::Timestamp::from_second(1_790_000_000 + number * 3600).unwrap())
}

#[test]
fn the_last_hours_of_every_product_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let folder = folder(place.path(), 2, 1000);
    let (one, two) = (ObjectKey::new("vecdb", "one"), ObjectKey::new("vecdb", "two"));
    for number in 0..4 {
        folder.keep(&name(&one, hour(number)), b"12345").unwrap();
    }
    folder.keep(&name(&two, hour(0)), b"12345").unwrap();
    let expected = [name(&one, hour(2)), name(&one, hour(3)), name(&two, hour(0))];
    assert_eq!(files(place.path()), expected);
}

#[test]
fn the_folder_stays_below_its_limit_and_the_oldest_hours_go_first() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("notes.txt"), vec![0; 5000]).unwrap();
    let folder = folder(place.path(), 100, 12);
    let product = ObjectKey::new("vecdb", "one");
    for number in 0..4 {
        folder.keep(&name(&product, hour(number)), b"12345").unwrap();
    }
    let expected = ["notes.txt".to_owned(), name(&product, hour(2)), name(&product, hour(3))];
    assert_eq!(files(place.path()), expected, "what is not ours is left alone");
}

#[test]
fn recordings_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("recordings");
    let product = ObjectKey::new("vecdb", "one");
    folder(&path, 1, 100).keep(&name(&product, hour(0)), b"1").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(name(&product, hour(0))))), (0o700, 0o600));
}

#[test]
fn a_folder_that_cannot_be_used_is_told_at_the_start() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Folder::open(&file, Bounds { hours: 1, bytes: 1 }).is_err());
}
