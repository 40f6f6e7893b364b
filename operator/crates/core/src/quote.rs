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

/// The beginning and the end of a text, as [`clip`] has its beginning.
pub fn clip_middle(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return clip(text, longest);
    }
    let half = longest / 2;
    let end = text.ceil_char_boundary(text.len().saturating_sub(half));
    clip(text, half) + &clip(text.get(end..).unwrap_or_default(), half)
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

    #[test]
    fn both_ends_of_a_long_text_are_kept() {
        assert_eq!(clip_middle("a\nb", 3), "a b");
        assert_eq!(clip_middle("größer", 6), "gr…er");
        assert_eq!(clip_middle("süßöäü", 6), "sü…ü");
    }
}
