//! `{% generation %}` … `{% endgeneration %}`: what a template marks as the assistant's, as transformers'
//! `return_assistant_tokens_mask` reads it.
//!
//! The tags become a condition that is always true, so that what `-` and `trim_blocks` do to the white space around them
//! stays. Where the parts are asked for, the block writes a mark at either end of it, characters that no text has (Unicode
//! noncharacters), which are taken out again. The text must then be the one without marks: a template that cuts or
//! compares a marked text would otherwise be believed.

use std::ops::Range;

use minijinja::machinery::ast;

/// What the condition of a marked block is.
const CONDITION: &str = "*generation";
/// Variables that the block writes at its ends, whose names no template can write, and their values where parts are asked
/// for.
pub(super) const VARIABLES: [(&str, &str); 2] =
    [("*generation begins", "\u{fdd0}"), ("*generation ends", "\u{fdd1}")];
const BEGIN: char = '\u{fdd0}';
const END: char = '\u{fdd1}';

/// The source with the tags as conditions.
pub(super) fn as_conditions(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let word = tag.trim_matches(|c: char| matches!(c, '{' | '%' | '}' | '-' | '+') || c.is_whitespace());
        match word {
            "generation" => out.push_str(&tag.replacen(word, &format!("if '{CONDITION}'"), 1)),
            "endgeneration" => out.push_str(&tag.replacen(word, "endif", 1)),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out + rest
}

/// Whether a condition is that of a marked block.
pub(super) fn is_condition(expr: &ast::Expr<'_>) -> bool {
    matches!(expr, ast::Expr::Const(constant) if constant.value.as_str() == Some(CONDITION))
}

/// Whether a source has marked blocks.
pub(super) fn are_in_source(source: &str) -> bool {
    source.contains(CONDITION)
}

/// Whether a text has a mark.
pub(super) fn are_in(text: &str) -> bool {
    text.contains([BEGIN, END])
}

/// The marked parts of a text, in bytes of it, given the text with its marks.
///
/// # Errors
/// Marks that do not come in pairs, or without which the text is another.
pub(super) fn parts(text: &str, marked: &str) -> Result<Vec<Range<usize>>, String> {
    const LOST: &str =
        "its `generation` marks enclose text that it changes afterwards, so they say nothing about it";
    if are_in(text) {
        return Err("the conversation has a character (U+FDD0 or U+FDD1) that is none".to_owned());
    }
    let (mut parts, mut begun, mut at) = (Vec::new(), None, 0);
    for piece in marked.split_inclusive([BEGIN, END]) {
        let plain = piece.trim_end_matches([BEGIN, END]);
        if !text[at..].starts_with(plain) {
            return Err(LOST.to_owned());
        }
        at += plain.len();
        begun = match (piece.chars().next_back(), begun) {
            (Some(BEGIN), None) => Some(at),
            (Some(END), Some(begin)) => {
                parts.push(begin..at);
                None
            }
            (Some(BEGIN | END), _) => return Err(LOST.to_owned()),
            (_, begun) => begun,
        };
    }
    if at != text.len() || begun.is_some() {
        return Err(LOST.to_owned());
    }
    parts.retain(|part: &Range<usize>| !part.is_empty());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_and_taken_out() {
        let parts = |marked: &str| {
            let marked = marked.replace('<', "\u{fdd0}").replace('>', "\u{fdd1}");
            parts("aé bc", &marked)
        };
        assert_eq!(parts("a<é b><c>"), Ok(vec![1..5, 5..6]));
        assert_eq!(parts("<a><é> bc<>"), Ok(vec![0..1, 1..3]));
        assert_eq!(parts("aé bc"), Ok(vec![]));
        for lost in ["a<é bc", "aé> bc", "a<<é> b>c", "a<é b>", "a<é  b>c", "a<é b>cd"] {
            assert!(parts(lost).is_err(), "{lost}");
        }
        assert!(super::parts("\u{fdd0}", "\u{fdd0}").is_err());
    }
}
