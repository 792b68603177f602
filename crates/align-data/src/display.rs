//! Rows as a person can check them: the text that was tokenized, with what is learned set apart from what is
//! only context.
//!
//! The text shown is decoded from the token ids, special tokens included, so that it shows what the model
//! sees and not what the file says. Line breaks are marked `⏎` where they are, and what would command a terminal is
//! shown as an escape.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use align_text::printable;

use crate::error::Result;
use crate::tokenize::{TokenizedCompletion, TokenizedExample, TokenizedPair, TokenizedRanking};
use crate::tokenizer::Tokenizer;

/// The style in which the mask is made visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskStyle {
    /// Learned text between `⟦` and `⟧`, for files and pipes.
    Brackets,
    /// Learned text in green, the rest dimmed, EOS inverted, for terminals.
    Ansi,
}

impl MaskStyle {
    /// Colour if standard output is a terminal.
    pub fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Ansi } else { Self::Brackets }
    }
}

/// A preference pair: the prompt once, then both answers and any gold answer.
///
/// # Errors
/// Token ids the tokenizer cannot decode.
pub fn inspect_pair(pair: &TokenizedPair, tokenizer: &Tokenizer, style: MaskStyle) -> Result<String> {
    let learned = pair.token_count() - pair.prompt.len() - pair.unlearned.len();
    let mut out = heading(pair.row, &pair.origin, pair.token_count(), learned);
    section(&mut out, "prompt", pair.prompt.len(), &piece(&pair.prompt, false, tokenizer, style)?);
    let names = ["chosen", "rejected", "reference"];
    for ((name, ids), mask) in names.into_iter().zip(pair.answers()).zip(pair.learned()) {
        runs(&mut out, [name, "context"], (ids, &mask), tokenizer, style)?;
    }
    Ok(out)
}

/// Tokens of which some are learned, with the names of those that are and of those that are not.
fn runs(
    out: &mut String,
    [learned, context]: [&str; 2],
    (ids, mask): (&[u32], &[bool]),
    tokenizer: &Tokenizer,
    style: MaskStyle,
) -> Result<()> {
    let mut start = 0;
    for run in mask.chunk_by(|a, b| a == b) {
        let name = if run[0] { learned } else { context };
        let ids = &ids[start..start + run.len()];
        section(out, name, ids.len(), &piece(ids, run[0], tokenizer, style)?);
        start += run.len();
    }
    Ok(())
}

/// Ranked answers: the prompt once, then the answers from the best to the worst, and the margin if there is one.
///
/// # Errors
/// As [`inspect_pair`].
pub fn inspect_ranking(row: &TokenizedRanking, tokenizer: &Tokenizer, style: MaskStyle) -> Result<String> {
    let answers = &row.answers;
    let tokens = answers.token_count();
    let mut out = heading(answers.row, &answers.origin, tokens, tokens - answers.prompt.len());
    section(&mut out, "prompt", answers.prompt.len(), &piece(&answers.prompt, false, tokenizer, style)?);
    for (rank, ids) in answers.completions.iter().enumerate() {
        let name = match (rank, answers.completions.len()) {
            (0, 2) => "chosen".to_owned(),
            (1, 2) => "rejected".to_owned(),
            _ => format!("rank {}", rank + 1),
        };
        section(&mut out, &name, ids.len(), &piece(ids, true, tokenizer, style)?);
    }
    if let Some(margin) = row.margin {
        labelled(&mut out, "margin", &margin.to_string());
    }
    Ok(out)
}

/// A labelled answer: the prompt, the answer, and whether it is desirable.
///
/// # Errors
/// As [`inspect_pair`].
pub fn inspect_completion(
    row: &TokenizedCompletion,
    tokenizer: &Tokenizer,
    style: MaskStyle,
) -> Result<String> {
    let places = 0..row.completion.len() as u32;
    let mask: Vec<bool> = places.map(|place| row.unlearned.binary_search(&place).is_err()).collect();
    let learned = mask.iter().filter(|&&learned| learned).count();
    let mut out = heading(row.row, &row.origin, row.token_count(), learned);
    section(&mut out, "prompt", row.prompt.len(), &piece(&row.prompt, false, tokenizer, style)?);
    runs(&mut out, ["completion", "context"], (&row.completion, &mask), tokenizer, style)?;
    labelled(&mut out, "label", if row.desirable { "desirable" } else { "undesirable" });
    Ok(out)
}

/// A demonstration: its tokens in one run, the mask changing where it changes.
///
/// # Errors
/// As [`inspect_pair`].
pub fn inspect_example(
    example: &TokenizedExample,
    tokenizer: &Tokenizer,
    style: MaskStyle,
) -> Result<String> {
    let learned = example.mask.iter().filter(|&&learned| learned).count();
    let mut out = heading(example.row, &example.origin, example.tokens.len(), learned);
    runs(&mut out, ["learned", "context"], (&example.tokens, &example.mask), tokenizer, style)?;
    Ok(out)
}

fn heading(row: usize, origin: &crate::Origin, tokens: usize, learned: usize) -> String {
    let share = 100.0 * learned as f64 / tokens.max(1) as f64;
    let origin = printable(&origin.to_string());
    format!("row {row} ({origin}): {tokens} tokens, {learned} learned ({share:.1} %)\n")
}

fn section(out: &mut String, name: &str, tokens: usize, text: &str) {
    labelled(out, &format!("{name} ({tokens})"), text);
}

fn labelled(out: &mut String, label: &str, text: &str) {
    for (line, text) in text.split('\n').enumerate() {
        let label = if line == 0 { label } else { "" };
        writeln!(out, "  {label:>15} │ {text}").expect("writing to a string cannot fail");
    }
}

/// A run of tokens as text, marked as learned or not, a final EOS marked by itself.
fn piece(ids: &[u32], learned: bool, tokenizer: &Tokenizer, style: MaskStyle) -> Result<String> {
    let at = tokenizer.eos().and_then(|eos| ids.iter().rposition(|&id| id == eos.id)).unwrap_or(ids.len());
    let text = |ids: &[u32]| {
        Ok::<_, crate::DataError>(printable(&tokenizer.decode(ids, false)?).replace('\n', "⏎\n"))
    };
    let (body, eos, rest) =
        (text(&ids[..at])?, text(&ids[at..ids.len().min(at + 1)])?, text(&ids[ids.len().min(at + 1)..])?);
    Ok(match (style, learned) {
        (MaskStyle::Brackets, true) => format!("⟦{body}{eos}{rest}⟧"),
        (MaskStyle::Brackets, false) => format!("{body}{eos}{rest}"),
        (MaskStyle::Ansi, true) => {
            format!("{}{}{}", coloured("32", &body), coloured("7;32", &eos), coloured("32", &rest))
        }
        (MaskStyle::Ansi, false) => coloured("2", &format!("{body}{eos}{rest}")),
    })
}

/// Colours every line by itself, so that the gutter between them stays plain.
fn coloured(code: &str, text: &str) -> String {
    let line =
        |line: &str| if line.is_empty() { String::new() } else { format!("\x1b[{code}m{line}\x1b[0m") };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}
