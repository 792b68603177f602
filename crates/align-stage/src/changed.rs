//! Held-out prompts that are answered otherwise than before training: what a person looks at first.

use align_text::printable;
use serde::Serialize;

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
    pub fn of(before: &[(String, String)], after: &[(String, String)]) -> Vec<Self> {
        let pairs = before.iter().zip(after).filter(|(before, after)| before.1 != after.1);
        let changed = |(before, after): (&(String, String), &(String, String))| Self {
            prompt: before.0.clone(),
            before: before.1.clone(),
            after: after.1.clone(),
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
    pub fn of(
        judge: &str,
        before: (&[(String, String)], &[f64]),
        after: (&[(String, String)], &[f64]),
    ) -> Self {
        let mut found = Self { judge: judge.to_owned(), better: 0, worse: 0, alike: 0 };
        let changed = before.0.iter().zip(after.0).map(|(before, after)| before.1 != after.1);
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

    #[test]
    fn what_is_said_as_before_is_left_out() {
        let said = |texts: [&str; 2]| texts.map(|text| ("prompt".to_owned(), text.to_owned()));
        let changed = ChangedAnswer::of(&said(["a", "b"]), &said(["a", "c"]));
        let [changed] = changed.as_slice() else { panic!("{changed:?}") };
        assert_eq!(changed.to_string(), "prompt\n  before: b\n  after:  c\n");
    }

    #[test]
    fn a_judge_is_asked_of_changed_answers_only() {
        let said = |texts: [&str; 4]| texts.map(|text| ("prompt".to_owned(), text.to_owned()));
        let (before, after) = (said(["a", "b", "c", "d"]), said(["a", "x", "y", "z"]));
        let judged =
            JudgedChanges::of("a judge", (&before, &[0.5, 0.5, 0.5, 0.5]), (&after, &[1.0, 1.0, 0.0, 0.5]));
        assert_eq!(judged.to_string(), "1 better, 1 worse, 1 alike, by a judge");
    }
}
