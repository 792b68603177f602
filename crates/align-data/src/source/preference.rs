//! A row to a preference pair.

use super::implicit_prompt;
use super::rows::Row;
use crate::error::Result;
use crate::record::{PreferencePair, Text};

/// The pair in a row, its prompt given or split off.
pub(super) fn pair(mut row: Row) -> Result<PreferencePair> {
    Ok(read(&mut row)?.0)
}

/// The pair in a row with its gold answer, the column `reference`, which is laid out as `chosen` is.
pub(super) fn pair_with_reference(mut row: Row) -> Result<PreferencePair> {
    let (pair, layout) = read(&mut row)?;
    let reference = match (row.non_empty_text("reference")?, &pair.prompt) {
        (Text::Plain(transcript), Text::Plain(prompt)) if layout == Layout::Transcripts => {
            transcript.strip_prefix(prompt.as_str()).filter(|answer| !answer.is_empty()).map(Text::from)
        }
        (Text::Messages(turns), Text::Messages(prompt)) if layout == Layout::Transcripts => turns
            .strip_prefix(prompt.as_slice())
            .filter(|answer| !answer.is_empty())
            .map(|answer| Text::Messages(answer.to_vec())),
        (answer, prompt) if is_messages(&answer) == is_messages(prompt) => Some(answer),
        (answer, prompt) => {
            let expected = format!("{}, as in `chosen`", kind(prompt));
            return Err(row.wrong("reference", expected, kind(&answer)));
        }
    };
    let Some(reference) = reference else {
        let expected = "a transcript that begins as `chosen` and `rejected` do and goes on with an answer";
        return Err(row.wrong("reference", expected, "another one"));
    };
    row.check_reply("reference", &reference)?;
    Ok(PreferencePair { reference: Some(reference), ..pair })
}

/// Whether answers stand by themselves or at the end of transcripts that repeat the prompt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Answers,
    Transcripts,
}

fn read(row: &mut Row) -> Result<(PreferencePair, Layout)> {
    let given = if row.has("prompt") { Some(row.text("prompt")?) } else { None };
    let chosen = row.non_empty_text("chosen")?;
    let rejected = row.non_empty_text("rejected")?;
    let template = row.template_arguments()?;
    let (layout, prompt, chosen, rejected) = match (given, chosen, rejected) {
        (Some(prompt @ Text::Plain(_)), chosen @ Text::Plain(_), rejected @ Text::Plain(_))
        | (Some(prompt @ Text::Messages(_)), chosen @ Text::Messages(_), rejected @ Text::Messages(_)) => {
            (Layout::Answers, prompt, chosen, rejected)
        }
        (None, Text::Plain(chosen), Text::Plain(rejected)) => {
            let Some(at) = implicit_prompt::of_texts(&chosen, &rejected) else {
                let expected =
                    "a string (or transcripts in `chosen` and `rejected` that share an `Assistant:` turn)";
                return Err(row.missing("prompt", expected));
            };
            for (field, text) in [("chosen", &chosen), ("rejected", &rejected)] {
                if text.len() == at {
                    let found = "nothing: the transcript ends there; correct or remove the row";
                    return Err(row.wrong(field, "an answer after the last `Assistant:`", found));
                }
            }
            (Layout::Transcripts, chosen[..at].into(), chosen[at..].into(), rejected[at..].into())
        }
        // Some data sets repeat the prompt as a plain column beside whole conversations; the turns hold it.
        (None | Some(Text::Plain(_)), Text::Messages(mut chosen), Text::Messages(mut rejected)) => {
            let at = implicit_prompt::of_messages(&chosen, &rejected);
            let (chosen_answer, rejected_answer) = (chosen.split_off(at), rejected.split_off(at));
            (Layout::Transcripts, chosen.into(), chosen_answer.into(), rejected_answer.into())
        }
        (prompt, chosen, rejected) => {
            let field = if is_messages(&chosen) == is_messages(&rejected) { "prompt" } else { "rejected" };
            let odd = if field == "prompt" { prompt.as_ref() } else { Some(&rejected) };
            return Err(row.wrong(
                field,
                format!("{}, as in `chosen`", kind(&chosen)),
                odd.map_or("nothing", kind),
            ));
        }
    };
    for (field, answer) in [("chosen", &chosen), ("rejected", &rejected)] {
        row.check_reply(field, answer)?;
    }
    let origin = row.origin.clone();
    Ok((PreferencePair { prompt, chosen, rejected, reference: None, template, origin }, layout))
}

fn is_messages(text: &Text) -> bool {
    matches!(text, Text::Messages(_))
}

fn kind(text: &Text) -> &'static str {
    if is_messages(text) { "a list of messages" } else { "a string" }
}
