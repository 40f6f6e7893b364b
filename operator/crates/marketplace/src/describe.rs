//! Errors of the SDK as one line that a person can read and that no condition is too short for.

use std::error::Error;

use crate::{credentials::CredentialProblem, web_identity::ExchangeFailed};

/// Enough for any message of AWS's; a page of HTML is cut off.
const LONGEST: usize = 400;

/// What the SDK's outer errors say; their causes say more.
const EMPTY_WORDS: [&str; 5] = ["dispatch failure", "response error", "io error", "other", "timeout"];

/// The error and its causes. Where one of them is ours, it says all.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> = causes(error).collect();
    let ours = causes.iter().find(|error| error.is::<ExchangeFailed>() || error.is::<CredentialProblem>());
    if let Some(ours) = ours {
        return line(&ours.to_string());
    }
    let mut texts: Vec<String> = Vec::new();
    for text in causes.iter().map(ToString::to_string) {
        if !EMPTY_WORDS.contains(&text.as_str()) && !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
    }
    line(&texts.join(": "))
}

/// The error, its cause, the cause of that, and so on.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// One line of at most [`LONGEST`] characters.
pub(crate) fn line(text: &str) -> String {
    let printable = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let text = printable.collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_html_becomes_one_bounded_line() {
        let page = "<html>\n\t<body>\u{7}Bad Gateway</body>\r\n</html>".repeat(50);
        let text = line(&page);
        assert!(text.starts_with("<html> <body> Bad Gateway</body> </html><html>"), "{text}");
        assert_eq!(text.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_cause_is_named_once() {
        let error = std::io::Error::other(std::io::Error::other("refused"));
        assert_eq!(describe(&error), "refused");
    }
}
