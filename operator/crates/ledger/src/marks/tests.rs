use std::io::Write as _;

use tollkeeper_core::mark::{Head, Sent};

use super::*;

fn product(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn note(hour: &str) -> Note {
    let report =
        Head { hour: hour.parse().unwrap(), hash: tollkeeper_core::identity::Digest::of(hour.as_bytes()) };
    let sent = Sent { attempts: 1, decisions: 0, at: hour.parse().unwrap() };
    Note::Sent { report, records: [("scans".parse().unwrap(), sent)].into() }
}

async fn raised(folder: &Path) -> KeptMarks {
    let marks = KeptMarks::open(folder).unwrap();
    marks.raise(&product("a"), note("2026-11-21T13:00:00Z")).await.unwrap();
    marks.raise(&product("b"), note("2026-11-21T13:00:00Z")).await.unwrap();
    marks.raise(&product("a"), note("2026-11-21T14:00:00Z")).await.unwrap();
    marks
}

#[tokio::test]
async fn what_was_noted_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let before = raised(folder.path()).await;
    for _ in 0..2 {
        // As notes at first, then as they were written anew.
        let after = KeptMarks::open(folder.path()).unwrap();
        for name in ["a", "b"] {
            assert_eq!(after.of(&product(name)), before.of(&product(name)));
        }
        assert_eq!(after.of(&product("a")).head().unwrap().hour, "2026-11-21T14:00:00Z".parse().unwrap());
    }
    assert_eq!(*before.of(&product("c")), Mark::default());
}

#[tokio::test]
async fn a_line_that_a_crash_has_torn_is_as_if_it_was_never_written() {
    let folder = tempfile::tempdir().unwrap();
    raised(folder.path()).await;
    let path = folder.path().join(FILE);
    let whole = fs::read_to_string(&path).unwrap();
    let before_last = whole.trim_end().rfind('\n').unwrap() + 1;
    for end in before_last..whole.len() - 1 {
        fs::write(&path, &whole[..end]).unwrap();
        let marks = KeptMarks::open(folder.path()).unwrap();
        assert_eq!(marks.of(&product("a")).head().unwrap().hour, "2026-11-21T13:00:00Z".parse().unwrap());
    }
}

#[tokio::test]
async fn a_damaged_line_is_named_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    raised(folder.path()).await;
    let path = folder.path().join(FILE);
    let damaged = fs::read_to_string(&path).unwrap().replacen("\"product\"", "\"prodigal\"", 2);
    fs::write(&path, &damaged).unwrap();
    let Err(error) = KeptMarks::open(folder.path()) else { panic!("it was read") };
    assert!(error.to_string().contains("line 1 of"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
}

#[tokio::test]
async fn a_long_file_is_written_anew_with_nothing_lost() {
    let folder = tempfile::tempdir().unwrap();
    let marks = raised(folder.path()).await;
    let before = marks.of(&product("b"));
    let path = folder.path().join(FILE);
    marks.inner().journal.as_mut().unwrap().length = REWRITTEN_AT;
    marks.raise(&product("a"), note("2026-11-21T15:00:00Z")).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    marks.raise(&product("a"), note("2026-11-21T16:00:00Z")).await.unwrap();
    let after = KeptMarks::open(folder.path()).unwrap();
    assert_eq!(after.of(&product("b")), before);
    assert_eq!(after.of(&product("a")), marks.of(&product("a")));
}

#[tokio::test]
async fn what_cannot_be_made_durable_is_not_raised() {
    let folder = tempfile::tempdir().unwrap();
    let marks = raised(folder.path()).await;
    let read_only = File::open(folder.path().join(FILE)).unwrap();
    marks.inner().journal.as_mut().unwrap().file = read_only;
    let before = marks.of(&product("a"));
    let error = marks.raise(&product("a"), note("2026-11-21T15:00:00Z")).await.unwrap_err();
    assert_eq!(error.reason(), "MarkUnavailable");
    assert_eq!(marks.of(&product("a")), before);
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"x").unwrap();
    let Err(error) = KeptMarks::open(file.path()) else { panic!("it was opened") };
    assert!(error.to_string().contains("cannot be kept in"), "{error}");
}
