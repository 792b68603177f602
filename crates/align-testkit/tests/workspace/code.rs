//! Rust source without what is no code: the rules look for words, and a comment or a string may say anything.

/// The text with comments, strings and characters taken out.
pub(crate) fn code(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(next) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest, &code)).or_else(|| character(rest));
        match skipped {
            Some(length) => {
                code.push(' ');
                rest = &rest[length..];
            }
            None => {
                code.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    code
}

/// The words of code: names and keywords.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Every path that a `use` brings, with its groups written out: `use std::{fs, io::Read};` brings `std::fs` and
/// `std::io::Read`.
pub(crate) fn uses(code: &str) -> Vec<String> {
    let statements = code.split("use ").skip(1).filter_map(|after| after.split(';').next());
    let tight = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ").replace(' ', "");
    statements.flat_map(|statement| written_out(&tight(statement))).collect()
}

fn written_out(tree: &str) -> Vec<String> {
    let Some((path, group)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in group.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match parts.last_mut() {
            Some(part) if letter != ',' || depth > 0 => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts.iter().flat_map(|part| written_out(part)).map(|part| format!("{path}{part}")).collect()
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = if rest[at..].starts_with("/*") {
            depth += 1;
            2
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    Some(at)
}

/// A string, also a raw one, which is no raw one if its `r` ends a name.
fn string(rest: &str, before: &str) -> Option<usize> {
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with('b');
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_word) {
        let fences = raw.len() - raw.trim_start_matches('#').len();
        if let Some(content) = raw[fences..].strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(fences));
            let length = content.find(&end).map_or(content.len(), |at| at + end.len());
            return Some(1 + fences + 1 + length);
        }
    }
    let content = rest.strip_prefix('"')?;
    let mut escaped = false;
    for (at, letter) in content.char_indices() {
        match letter {
            '"' if !escaped => return Some(at + 2),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// A character, not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let content = rest.strip_prefix('\'')?;
    if let Some(escape) = content.strip_prefix('\\') {
        return escape.char_indices().skip(1).find(|(_, letter)| *letter == '\'').map(|(at, _)| at + 3);
    }
    let letter = content.chars().next()?;
    content[letter.len_utf8()..].starts_with('\'').then_some(letter.len_utf8() + 2)
}

#[test]
fn what_is_no_code_is_left_out() {
    let text =
        "a /* b /* c */ d */ e // f\n\"g \\\" h\" r#\"i \" j\"# 'k' '\\'' '\\u{1f}' 'l: for<'m> n br\"o\" p";
    assert_eq!(words(&code(text)).collect::<Vec<_>>(), ["a", "e", "l", "for", "m", "n", "b", "p"]);
}

#[test]
fn groups_of_a_use_are_written_out() {
    let found = uses("use std::{fs, io::{self, Read},\n    path::Path};\nuse a::b;");
    assert_eq!(found, ["std::fs", "std::io::self", "std::io::Read", "std::path::Path", "a::b"]);
}
