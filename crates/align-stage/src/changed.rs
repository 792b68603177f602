//! Held-out prompts that are answered otherwise than before training: what a person looks at first.

use align_text::printable;
use serde::Serialize;

/// A prompt, and an answer to it that was sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The prompt, with its markup.
    pub prompt: String,
    /// Whether the limits cut the prompt's beginning.
    pub prompt_is_cut: bool,
    /// The answer.
    pub answer: String,
    /// Whether the model ended the answer, rather than its longest length.
    pub finished: bool,
}

impl Said {
    /// The prompt for people, with an ellipsis where its beginning is missing.
    fn shown_prompt(&self) -> String {
        if self.prompt_is_cut { format!("… {}", self.prompt.trim_start()) } else { self.prompt.clone() }
    }

    /// The answer for people, with an ellipsis where its end is missing.
    fn shown_answer(&self) -> String {
        if self.finished { self.answer.clone() } else { format!("{} …", self.answer.trim_end()) }
    }
}

/// A held-out prompt and what was said to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedAnswer {
    /// The prompt, with its markup.
    pub prompt: String,
    /// A completion sampled before training.
    pub before: String,
    /// A completion sampled after training, with the same seed.
    pub after: String,
}

impl ChangedAnswer {
    /// The changed answers among prompts with their completions, which are in the same order before and after.
    pub fn of(before: &[Said], after: &[Said]) -> Vec<Self> {
        let pairs = before.iter().zip(after).filter(|(before, after)| before.answer != after.answer);
        let changed = |(before, after): (&Said, &Said)| Self {
            prompt: before.shown_prompt(),
            before: before.shown_answer(),
            after: after.shown_answer(),
        };
        pairs.map(changed).collect()
    }
}

/// A judge's verdict on the answers that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JudgedChanges {
    /// The judge's name.
    pub judge: String,
    /// Prompts that are answered better than before.
    pub better: usize,
    /// Prompts that are answered worse.
    pub worse: usize,
    /// Prompts that are answered in other words, and as well.
    pub alike: usize,
}

impl JudgedChanges {
    /// The verdict on texts as in [`ChangedAnswer::of`], with the quality of each.
    pub fn of(judge: &str, before: (&[Said], &[f64]), after: (&[Said], &[f64])) -> Self {
        let mut found = Self { judge: judge.to_owned(), better: 0, worse: 0, alike: 0 };
        let changed = before.0.iter().zip(after.0).map(|(before, after)| before.answer != after.answer);
        let qualities = before.1.iter().zip(after.1).zip(changed);
        for ((before, after), _) in qualities.filter(|(_, changed)| *changed) {
            let count = match after.total_cmp(before) {
                std::cmp::Ordering::Greater => &mut found.better,
                std::cmp::Ordering::Less => &mut found.worse,
                std::cmp::Ordering::Equal => &mut found.alike,
            };
            *count += 1;
        }
        found
    }
}

impl std::fmt::Display for JudgedChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { judge, better, worse, alike } = self;
        write!(f, "{better} better, {worse} worse, {alike} alike, by {judge}")
    }
}

impl std::fmt::Display for ChangedAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [prompt, before, after] =
            [&self.prompt, &self.before, &self.after].map(|text| printable(text.trim()));
        writeln!(f, "{prompt}\n  before: {before}\n  after:  {after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &str) -> Said {
        Said { prompt: "prompt".to_owned(), prompt_is_cut: false, answer: answer.to_owned(), finished: true }
    }

    #[test]
    fn what_is_said_as_before_is_left_out() {
        let changed = ChangedAnswer::of(&["a", "b"].map(said), &["a", "c"].map(said));
        let [changed] = changed.as_slice() else { panic!("{changed:?}") };
        assert_eq!(changed.to_string(), "prompt\n  before: b\n  after:  c\n");
    }

    #[test]
    fn an_ellipsis_stands_where_something_was_cut() {
        let before = Said { prompt: ": why?".to_owned(), prompt_is_cut: true, ..said("Because") };
        let after = Said { answer: "It is ".to_owned(), finished: false, ..before.clone() };
        let changed = ChangedAnswer::of(&[before], &[after]).remove(0);
        assert_eq!(changed.to_string(), "… : why?\n  before: Because\n  after:  It is …\n");
    }

    #[test]
    fn a_judge_is_asked_of_changed_answers_only() {
        let (before, after) = (["a", "b", "c", "d"].map(said), ["a", "x", "y", "z"].map(said));
        let judged =
            JudgedChanges::of("a judge", (&before, &[0.5, 0.5, 0.5, 0.5]), (&after, &[1.0, 1.0, 0.0, 0.5]));
        assert_eq!(judged.to_string(), "1 better, 1 worse, 1 alike, by a judge");
    }
}
