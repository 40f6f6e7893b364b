//! Texts of strangers, made fit to be quoted in an error, a condition or a log.

/// The beginning of a text, on one line and without control characters: nobody forges log lines with it. `longest` is in bytes.
pub fn clip(text: &str, longest: usize) -> String {
    let end = text.floor_char_boundary(longest);
    let (kept, rest) = text.split_at(end);
    let mut clean: String = kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if !rest.is_empty() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_s_text_is_one_short_line() {
        assert_eq!(clip("a\nb\u{1b}[31m", 100), "a b [31m");
        assert_eq!(clip("größer", 3), "gr…");
        assert_eq!(clip("größer", 4), "grö…");
    }
}
