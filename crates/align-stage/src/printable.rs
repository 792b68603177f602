//! Texts of people and of models on a terminal.

/// A text may hold any character; what would move the cursor or ring the bell is shown as an escape.
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_do_not_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{7}ü"), "a\\u{1b}[2J\nb\\u{7}ü");
    }
}
