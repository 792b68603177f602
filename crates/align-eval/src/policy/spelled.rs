//! Messages spelled out as text, for models that have no chat template.

use align_data::{Candidates, Text};

/// The answers with messages spelled out as text, where a model has no chat template for them.
pub(crate) fn spelled_candidates(candidates: &Candidates, has_template: bool) -> Candidates {
    Candidates {
        prompt: spelled(&candidates.prompt, has_template),
        completions: candidates.completions.iter().map(|text| spelled_answer(text, has_template)).collect(),
        ..candidates.clone()
    }
}

/// Messages as text where a model has no chat template: their contents, a blank line after each.
pub(super) fn spelled(text: &Text, has_template: bool) -> Text {
    match text {
        Text::Messages(turns) if !has_template => {
            let contents = turns.iter().map(|turn| turn.content.as_deref().unwrap_or_default());
            Text::Plain(contents.map(|content| format!("{content}\n\n")).collect())
        }
        text => text.clone(),
    }
}

fn spelled_answer(text: &Text, has_template: bool) -> Text {
    match text {
        Text::Messages(_) if !has_template => Text::Plain(text.readable()),
        text => text.clone(),
    }
}
