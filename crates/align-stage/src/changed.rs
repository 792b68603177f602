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
    /// And one after it, with the same seed.
    pub after: String,
}

impl ChangedAnswer {
    /// Of prompts with their completions, in the same order before and after, those whose completions differ.
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
}
