//! Which tokens a row loses when it is too long.
//!
//! First `max_prompt_length` keeps a prompt's end and `max_completion_length` a completion's start. Then
//! `max_length` bounds the two together. [`TruncationMode::KeepStart`] cuts the end of prompt + completion.
//! [`TruncationMode::KeepEnd`] cuts the beginning of the prompt, by what the *longest* of its completions
//! needs, so that all of them still follow the same prompt; only when no prompt is left to cut do completions
//! lose their end. [`TruncationMode::Drop`] leaves a longer row out instead, as TRL's reward trainer does. (TRL's `keep_end` cuts each sequence by itself, so that chosen and rejected are compared
//! after different prompts.) A BOS in front of a prompt survives. A cut completion has lost its EOS and gets
//! no other.

use serde::{Deserialize, Serialize};

use super::TokenizeOptions;
use super::report::DropReason;
use crate::tokenizer::Tokenizer;

/// Which side loses tokens where `max_length` is exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum TruncationMode {
    /// The end is cut: completions get shorter, and rows whose prompt fills `max_length` are dropped.
    #[default]
    KeepStart,
    /// The beginning is cut: the prompt gets shorter, one and the same for all answers to it.
    KeepEnd,
    /// Nothing is cut: rows that are longer are left out.
    Drop,
}

/// The limits, and the token that is kept in front.
pub(super) struct Lengths<'a> {
    options: &'a TokenizeOptions,
    bos: Option<u32>,
}

/// A row after cutting.
pub(super) struct Cut {
    pub(super) prompt: Vec<u32>,
    pub(super) completions: Vec<Vec<u32>>,
    /// For each completion, whether it still has its end.
    pub(super) complete: Vec<bool>,
    /// Whether anything was cut.
    pub(super) truncated: bool,
    /// Whether the prompt was.
    pub(super) prompt_is_cut: bool,
    /// Why the row cannot be used, if it cannot.
    pub(super) unusable: Option<DropReason>,
}

impl<'a> Lengths<'a> {
    pub(super) fn new(options: &'a TokenizeOptions, tokenizer: &Tokenizer) -> Self {
        Self { options, bos: tokenizer.bos().map(|bos| bos.id) }
    }

    /// Fits one prompt and completions whose log-probs will be compared, which takes a prompt before them: the
    /// first token of each is to be predicted too.
    pub(super) fn fit_compared(&self, prompt: Vec<u32>, completions: Vec<Vec<u32>>) -> Cut {
        let mut cut = self.fit(prompt, completions);
        if cut.prompt.is_empty() {
            cut.unusable = Some(DropReason::EmptyPrompt);
        }
        cut
    }

    /// Fits one prompt and the completions that share it.
    pub(super) fn fit(&self, mut prompt: Vec<u32>, mut completions: Vec<Vec<u32>>) -> Cut {
        let (prompt_before, before): (_, Vec<usize>) =
            (prompt.len(), completions.iter().map(Vec::len).collect());
        if let Some(max) = self.options.max_prompt_length {
            self.keep_last(&mut prompt, max);
        }
        let mut room = self.options.max_completion_length.unwrap_or(usize::MAX);
        let (mut prompt_fills, mut too_long) = (false, false);
        if let Some(max) = self.options.max_length {
            let longest = before.iter().copied().max().unwrap_or(0).min(room);
            match self.options.truncation_mode {
                TruncationMode::KeepStart => prompt.truncate(max),
                TruncationMode::Drop => too_long = prompt.len() + longest > max,
                TruncationMode::KeepEnd => self.keep_last(&mut prompt, max.saturating_sub(longest).max(1)),
            }
            prompt_fills = prompt.len() >= max;
            room = room.min(max - prompt.len().min(max));
        }
        for completion in &mut completions {
            completion.truncate(room);
        }
        let complete: Vec<bool> =
            completions.iter().zip(&before).map(|(c, &before)| c.len() == before).collect();
        let prompt_is_cut = prompt.len() < prompt_before;
        let truncated = prompt_is_cut || complete.contains(&false);
        let unusable = if too_long {
            Some(DropReason::TooLong)
        } else if prompt_fills {
            Some(DropReason::PromptFillsMaxLength)
        } else if completions.iter().any(|c| c.len() + prompt.len().min(1) < 2) {
            Some(DropReason::NothingToLearn)
        } else {
            None
        };
        Cut { prompt, completions, complete, truncated, prompt_is_cut, unusable }
    }

    /// Fits a sequence that has no prompt.
    pub(super) fn fit_whole(&self, mut ids: Vec<u32>) -> Cut {
        let before = ids.len();
        let (mut complete, mut too_long) = (true, false);
        if let Some(max) = self.options.max_length {
            match self.options.truncation_mode {
                TruncationMode::KeepStart => {
                    ids.truncate(max);
                    complete = ids.len() == before;
                }
                TruncationMode::KeepEnd => self.keep_last(&mut ids, max),
                TruncationMode::Drop => too_long = before > max,
            }
        }
        let nothing = (ids.len() < 2).then_some(DropReason::NothingToLearn);
        let unusable = if too_long { Some(DropReason::TooLong) } else { nothing };
        let truncated = ids.len() < before;
        let (prompt, prompt_is_cut) = (Vec::new(), false);
        Cut { prompt, completions: vec![ids], complete: vec![complete], truncated, prompt_is_cut, unusable }
    }

    /// Fits a prompt that a completion will be generated for.
    pub(super) fn fit_prompt(&self, mut prompt: Vec<u32>) -> Cut {
        let before = prompt.len();
        if let Some(max) = self.options.max_prompt_length.or(self.options.max_length) {
            self.keep_last(&mut prompt, max);
        }
        let truncated = prompt.len() < before;
        let unusable = prompt.is_empty().then_some(DropReason::EmptyPrompt);
        let (completions, complete) = (Vec::new(), Vec::new());
        Cut { prompt, completions, complete, truncated, prompt_is_cut: truncated, unusable }
    }

    /// Keeps the last `count` tokens, counting a BOS in front as one of them if there is room for more than it.
    fn keep_last(&self, ids: &mut Vec<u32>, count: usize) {
        if ids.len() <= count {
            return;
        }
        let keeps_bos = count > 1 && ids.first().copied() == self.bos && self.bos.is_some();
        let start = usize::from(keeps_bos);
        ids.drain(start..ids.len() - count + start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOS: u32 = 1;

    fn options(max_length: usize, truncation_mode: TruncationMode) -> TokenizeOptions {
        TokenizeOptions { max_length: Some(max_length), truncation_mode, ..TokenizeOptions::default() }
    }

    fn fit(options: &TokenizeOptions, prompt: &[u32], completions: &[&[u32]]) -> Cut {
        let lengths = Lengths { options, bos: Some(BOS) };
        lengths.fit_compared(prompt.to_vec(), completions.iter().map(|c| c.to_vec()).collect())
    }

    #[test]
    fn keep_start_cuts_the_end() {
        let cut = fit(&options(5, TruncationMode::KeepStart), &[1, 10, 11], &[&[20, 21, 2], &[30, 2]]);
        assert_eq!((cut.prompt, cut.completions), (vec![1, 10, 11], vec![vec![20, 21], vec![30, 2]]));
        assert_eq!(cut.complete, [false, true]);
    }

    #[test]
    fn keep_end_cuts_one_prompt_by_the_longer_completion_and_keeps_bos() {
        let cut = fit(&options(5, TruncationMode::KeepEnd), &[1, 10, 11], &[&[20, 21, 2], &[30, 2]]);
        assert_eq!((cut.prompt, cut.completions), (vec![1, 11], vec![vec![20, 21, 2], vec![30, 2]]));
        assert_eq!(cut.complete, [true, true]);
    }

    #[test]
    fn keep_end_leaves_a_prompt_token_and_cuts_completions_last() {
        let cut = fit(&options(3, TruncationMode::KeepEnd), &[1, 10, 11], &[&[20, 21, 2], &[30, 2]]);
        assert_eq!((cut.prompt, cut.completions), (vec![11], vec![vec![20, 21], vec![30, 2]]));
        assert_eq!(cut.complete, [false, true]);
    }

    #[test]
    fn a_prompt_that_fills_max_length_makes_the_row_unusable() {
        let cut = fit(&options(3, TruncationMode::KeepStart), &[1, 10, 11], &[&[20, 2], &[30, 2]]);
        assert_eq!(cut.unusable, Some(DropReason::PromptFillsMaxLength));
    }

    #[test]
    fn drop_leaves_longer_rows_out_and_cuts_none() {
        let row = |max| fit(&options(max, TruncationMode::Drop), &[1, 10, 11], &[&[20, 21, 2], &[30, 2]]);
        assert_eq!((row(6).unusable, row(6).truncated, row(6).completions[0].len()), (None, false, 3));
        assert_eq!(row(5).unusable, Some(DropReason::TooLong));
        let options = options(3, TruncationMode::Drop);
        let lengths = Lengths { options: &options, bos: None };
        assert_eq!(lengths.fit_whole(vec![1, 2, 3]).unusable, None);
        assert_eq!(lengths.fit_whole(vec![1, 2, 3, 4]).unusable, Some(DropReason::TooLong));
    }

    #[test]
    fn a_third_completion_takes_part_in_cutting_the_prompt() {
        let keep_end = options(5, TruncationMode::KeepEnd);
        let cut = fit(&keep_end, &[1, 10, 11, 12], &[&[20, 2], &[30, 2], &[40, 41, 2]]);
        assert_eq!((cut.prompt, cut.complete), (vec![1, 12], vec![true, true, true]));
    }

    #[test]
    fn part_limits_keep_the_prompts_end_and_the_completions_start() {
        let options = TokenizeOptions {
            max_prompt_length: Some(2),
            max_completion_length: Some(1),
            ..options(9, TruncationMode::KeepStart)
        };
        let cut = fit(&options, &[1, 10, 11], &[&[20, 2], &[30, 2]]);
        assert_eq!((cut.prompt, cut.completions), (vec![1, 11], vec![vec![20], vec![30]]));
    }

    proptest! {
        #[test]
        fn no_row_exceeds_its_limit_and_uncut_completions_are_whole(
            prompt in 1..20usize, chosen in 1..20usize, rejected in 1..20usize, max in 2..24usize, keep_end: bool,
        ) {
            let mode = if keep_end { TruncationMode::KeepEnd } else { TruncationMode::KeepStart };
            let ids = |n: usize, base: u32| (0..n as u32).map(|i| base + i).collect::<Vec<_>>();
            let (p, c, r) = (ids(prompt, 100), ids(chosen, 200), ids(rejected, 300));
            let cut = fit(&options(max, mode), &p, &[&c, &r]);
            prop_assert!(cut.completions.iter().all(|c| cut.prompt.len() + c.len() <= max));
            prop_assert!(c.starts_with(&cut.completions[0]) && r.starts_with(&cut.completions[1]));
            if keep_end {
                prop_assert!(p.ends_with(&cut.prompt) && cut.unusable.is_none());
                prop_assert!(cut.prompt.len() == 1 || cut.complete == [true, true]);
            } else {
                prop_assert!(p.starts_with(&cut.prompt));
                prop_assert_eq!(cut.unusable.is_some(), prompt >= max);
            }
        }
    }
}
