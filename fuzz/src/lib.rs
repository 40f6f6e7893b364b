//! What every refusal of a file must be, whatever the file says.

/// A refusal is `FILE:LINE: REASON` or `FILE:LINE:COLUMN: REASON`: one short line that nobody can forge others with, and the
/// line is one of the file, or the one after it.
pub fn assert_refusal(refusal: &str, file: &str, text: &str) {
    assert_sentence(refusal);
    let rest = refusal.strip_prefix(file).and_then(|rest| rest.strip_prefix(':'));
    let (place, reason) = rest.and_then(|rest| rest.split_once(": ")).unwrap_or_default();
    let line: usize = place.split(':').next().and_then(|line| line.parse().ok()).unwrap_or_default();
    assert!(!reason.trim().is_empty(), "no reason: {refusal}");
    assert!((1..=lines(text) + 1).contains(&line), "no line of the file: {refusal}");
}

/// One line of bounded length, without control characters.
pub fn assert_sentence(refusal: &str) {
    assert!(refusal.len() < 1_200, "{} bytes: {refusal}", refusal.len());
    assert!(!refusal.contains(char::is_control), "{refusal:?}");
}

/// Lines as YAML counts them, which are at least as many as those of JSON lines.
fn lines(text: &str) -> usize {
    text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count()
}
