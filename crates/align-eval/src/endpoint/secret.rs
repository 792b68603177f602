//! A key in what a server says: found however it is written, and left out.
//!
//! Servers repeat the request that they refuse: as JSON, in an address, in a page of HTML, broken into lines. So texts are
//! compared as they read: without white space, escapes undone, in lower case. It is no defence against a server that wants
//! the key in the log, which has the key and may write it in ways that nobody thought of.

use std::ops::Range;

/// The text with "…" for each time that it says `key`.
pub(super) fn masked(text: &str, key: &str) -> String {
    let (read, key) = (Read::of(text), Read::of(key).text);
    if key.is_empty() {
        return text.to_owned();
    }
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in read.text.match_indices(&key) {
        out.push_str(&text[done..read.places[at].start]);
        out.push('…');
        done = read.places[at + key.len() - 1].end;
    }
    out + &text[done..]
}

/// A text as it reads.
struct Read {
    text: String,
    /// Where each of its bytes stands in the original.
    places: Vec<Range<usize>>,
}

impl Read {
    fn of(original: &str) -> Self {
        let mut read = Self { text: String::new(), places: Vec::new() };
        let mut at = 0;
        while let Some((character, length)) = first(&original[at..]) {
            if let Some(character) =
                character.filter(|it| !it.is_whitespace() && !align_text::is_command(*it))
            {
                let character = character.to_ascii_lowercase();
                read.text.push(character);
                let place = at..at + length;
                read.places.extend(std::iter::repeat_n(place, character.len_utf8()));
            }
            at += length;
        }
        read
    }
}

/// What a text begins with, and how many bytes that takes: a character, how it may be written in JSON, in an address or in
/// HTML, or an escape that stands for white space.
fn first(text: &str) -> Option<(Option<char>, usize)> {
    let plain = text.chars().next()?;
    let written = match plain {
        '\\' => {
            // As JSON in a text of JSON, it has many.
            let rest = text.trim_start_matches('\\');
            let escaped = text.len() - rest.len();
            let digits = match rest.chars().next() {
                None => return Some((None, escaped)),
                Some('n' | 'r' | 't' | 'f' | 'b') => return Some((None, escaped + 1)),
                Some('u') => rest.get(1..5),
                Some('x') => rest.get(1..3),
                Some(other) => return Some((Some(other), escaped + other.len_utf8())),
            };
            // A letter that is no escape is the letter.
            let unknown = || (rest.chars().next(), escaped + 1);
            let known = digits.and_then(|digits| Some((character(digits, 16)?, escaped + 1 + digits.len())));
            return Some(known.map_or_else(unknown, |(character, length)| (Some(character), length)));
        }
        '%' => {
            let mut start = 1;
            while text.get(start..start + 2) == Some("25") {
                start += 2;
            }
            text.get(start..start + 2).and_then(|digits| Some((character(digits, 16)?, start + 2)))
        }
        '&' => text.strip_prefix("&#").and_then(|rest| {
            let end = rest.find(';').filter(|&end| end < 9)?;
            let number = &rest[..end];
            let character = match number.strip_prefix(['x', 'X']) {
                Some(digits) => character(digits, 16),
                None => character(number, 10),
            };
            Some((character?, end + 3))
        }),
        _ => None,
    };
    Some(written.map_or((Some(plain), plain.len_utf8()), |(character, length)| (Some(character), length)))
}

/// The character of ASCII with that number; keys have no others.
fn character(digits: &str, radix: u32) -> Option<char> {
    u8::from_str_radix(digits, radix).ok().filter(u8::is_ascii).map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_however_it_is_written() {
        const KEY: &str = "sk-Se/cret_1";
        for written in [
            "sk-Se/cret_1",
            "SK-SE/CRET_1",
            "sk-Se/\ncret_1",
            "sk-Se/ \t\r\n  cret_1",
            "sk%2DSe%2Fcret%5F1",
            "sk%2dSe%2fcret_1",
            "sk%252DSe/cret_1",
            "sk-Se\\/cret_1",
            "\\u0073k-Se\\/cret_1",
            "\\\\u0073k-Se\\\\/cret_1",
            "sk\\x2dSe/cret_1",
            "sk-Se/\\ncret_1",
            "sk&#45;Se&#x2F;cret_1",
            "sk-\u{200b}Se/cret_1",
        ] {
            let text = format!("no such key: «{written}», ü & 100 % \\ {written}.");
            assert_eq!(masked(&text, KEY), "no such key: «…», ü & 100 % \\ ….", "{written}");
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            "",
            "sk-Se/cret_",
            "100 %",
            "%",
            "%2",
            "%2ü",
            "\\",
            "\\u",
            "\\u00",
            "\\uüü",
            "&#",
            "&#x;",
            "&#1234567890;",
            "ü",
        ] {
            assert_eq!(masked(text, "sk-Se/cret_1"), text);
            assert_eq!(masked(text, " "), text);
        }
    }
}
