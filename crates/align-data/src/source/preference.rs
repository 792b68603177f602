//! A row to a preference pair.

use super::implicit_prompt;
use super::rows::Row;
use crate::error::Result;
use crate::record::{PreferencePair, Text};

/// The pair in a row, its prompt given or split off.
pub(super) fn pair(mut row: Row) -> Result<PreferencePair> {
    let given = if row.has("prompt") { Some(row.text("prompt")?) } else { None };
    let chosen = row.non_empty_text("chosen")?;
    let rejected = row.non_empty_text("rejected")?;
    let template = row.template_arguments()?;
    let (prompt, chosen, rejected) = match (given, chosen, rejected) {
        (Some(prompt @ Text::Plain(_)), chosen @ Text::Plain(_), rejected @ Text::Plain(_))
        | (Some(prompt @ Text::Messages(_)), chosen @ Text::Messages(_), rejected @ Text::Messages(_)) => {
            (prompt, chosen, rejected)
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
            (chosen[..at].into(), chosen[at..].into(), rejected[at..].into())
        }
        // Some data sets repeat the prompt as a plain column beside whole conversations; the turns hold it.
        (None | Some(Text::Plain(_)), Text::Messages(mut chosen), Text::Messages(mut rejected)) => {
            let at = implicit_prompt::of_messages(&chosen, &rejected);
            let (chosen_answer, rejected_answer) = (chosen.split_off(at), rejected.split_off(at));
            (chosen.into(), chosen_answer.into(), rejected_answer.into())
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
    Ok(PreferencePair { prompt, chosen, rejected, template, origin: row.origin })
}

fn is_messages(text: &Text) -> bool {
    matches!(text, Text::Messages(_))
}

fn kind(text: &Text) -> &'static str {
    if is_messages(text) { "a list of messages" } else { "a string" }
}
