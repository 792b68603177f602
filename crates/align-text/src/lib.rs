#![doc = include_str!("../README.md")]

/// `text` with every character that [`is_command`] shown as an escape, and those that join letters where they join none.
///
/// ```
/// assert_eq!(align_text::printable("a\u{1b}[2Jb\nü"), "a\\u{1b}[2Jb\nü");
/// ```
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = None;
    for character in text.chars() {
        if is_command(character)
            || (is_joiner(character) && before.is_none_or(|it: char| it.is_ascii() || is_joiner(it)))
        {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        before = Some(character);
    }
    shown
}

/// What stands between letters of Persian and of Indian scripts, and in emoji, and is nothing by itself.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
}

/// `text` if it has at most `most` characters, else its beginning and its end with the number of those left out between.
///
/// ```
/// let names = "a, ".repeat(1000);
/// let short = align_text::shortened(&names, 100);
/// assert!(short.chars().count() <= 100 && short.contains(" … (2940 characters) … "), "{short}");
/// ```
pub fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    // Room for the number, which has at most 20 digits.
    let kept = most.saturating_sub(GAP);
    let (head, tail) = (kept - kept / 3, kept / 3);
    let beginning: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{beginning} … ({} characters) … {end}", count - kept)
}

/// An error's words without the backtrace that candle's errors carry below them under `RUST_BACKTRACE=1`.
///
/// ```
/// let error = "no such tensor\n   0: candle_core::error::Error::bt\n   1: main\n";
/// assert_eq!(align_text::without_backtrace(error), "no such tensor");
/// assert_eq!(align_text::without_backtrace("two\nlines"), "two\nlines");
/// ```
pub fn without_backtrace(words: &str) -> &str {
    words.split_once("\n   0: ").map_or(words, |(words, _)| words)
}

/// Characters of the note between beginning and end.
const GAP: usize = 40;

/// True if a terminal may take the character for an order, or show what is not there: control characters but line breaks
/// and tabs, marks that turn the direction of writing, the separators that some terminals and editors break lines at, and
/// what has no width and no letter to belong to.
pub fn is_command(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => true,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_the_terminal() {
        let check = |text: &str, shown: &str| assert_eq!(printable(text), shown);
        check("\u{1b}]0;title\u{7}\r\u{8}\u{7f}", "\\u{1b}]0;title\\u{7}\\r\\u{8}\\u{7f}");
        check("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"); // C1: a terminal reads U+009B as ESC [
        check(
            "a\u{202e}b\u{2066}c\u{2069}\u{2028}\u{2029}",
            "a\\u{202e}b\\u{2066}c\\u{2069}\\u{2028}\\u{2029}",
        );
        check("line\n\ttab ü 漢 👩‍🔧 שלום", "line\n\ttab ü 漢 👩‍🔧 שלום");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for hidden in (0x200b..=0x200f).chain(0x2060..=0x2069).chain([0xfeff, 0x61c]) {
            let hidden = char::from_u32(hidden).unwrap();
            let shown = format!("key{}word", hidden.escape_default());
            assert_eq!(printable(&format!("key{hidden}word")), shown);
        }
        // In Persian and in emoji joiners are part of what is written, but a row of them is not.
        assert_eq!(printable("می\u{200c}خواهم 👩\u{200d}🔧"), "می\u{200c}خواهم 👩\u{200d}🔧");
        assert_eq!(printable("ü\u{200d}\u{200d}"), "ü\u{200d}\\u{200d}");
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        assert_eq!(shortened("short", 5), "short");
        let short = shortened(&format!("begin{}end", "ü".repeat(100_000)), 2000);
        assert!(
            short.starts_with("begin") && short.ends_with("end") && short.chars().count() <= 2000,
            "{short}"
        );
        assert!(short.contains(" … (98048 characters) … "), "{short}");
        assert!(shortened("abc", 0).chars().count() <= GAP);
    }
}
