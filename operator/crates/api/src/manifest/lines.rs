//! Lines as YAML has them.

/// What ends a line (YAML 1.1, section 4.2). `\r\n` is one break.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// The lines of a text, each with its break.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut found = rest.match_indices(BREAKS);
        let end = match (found.next(), found.next()) {
            (Some((at, "\r")), Some((next, "\n"))) if next == at + 1 => next + 1,
            (Some((at, broken)), _) => at + broken.len(),
            (None, _) => rest.len(),
        };
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_break_of_yaml_ends_a_line() {
        let text = "a\nb\r\nc\rd\u{85}e\u{2028}f\u{2029}\n\r\r\ng";
        let expected = ["a\n", "b\r\n", "c\r", "d\u{85}", "e\u{2028}", "f\u{2029}", "\n", "\r", "\r\n", "g"];
        assert_eq!(lines(text).collect::<Vec<_>>(), expected);
        assert_eq!(lines("").next(), None);
    }
}
