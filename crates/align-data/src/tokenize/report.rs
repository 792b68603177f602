//! What happened to the rows on their way to token ids, for people and for report files.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ending::Ending;
use super::truncate::Cut;
use crate::error::DataError;
use crate::source::LeftOut;

/// The reason why a row was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The prompt alone takes up `max_length`: no completion token is left.
    PromptFillsMaxLength,
    /// The prompt has no token, so the first token of an answer could not be predicted.
    EmptyPrompt,
    /// No token that could be learned is left.
    NothingToLearn,
    /// The row is longer than `max_length`, and rows are not to be cut.
    TooLong,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PromptFillsMaxLength => "prompt fills max_length",
            Self::EmptyPrompt => "empty prompt",
            Self::NothingToLearn => "no token to learn",
            Self::TooLong => "longer than max_length",
        })
    }
}

/// Counts over a tokenized data set. All but `rows` and `dropped` concern the rows that were kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizeReport {
    /// Records that went in.
    pub rows: usize,
    /// Rows that came out.
    pub kept: usize,
    /// Rows left out, by reason.
    pub dropped: BTreeMap<DropReason, usize>,
    /// Rows that the chat template or the tokenizer cannot process, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Rows that lost tokens to a length limit.
    pub truncated: usize,
    /// Rows whose tokens merged across the end of the prompt and were encoded apart.
    pub repaired_boundaries: usize,
    /// Pairs whose two answers are the same tokens: they teach nothing.
    pub identical_answers: usize,
    /// Completions (two in a pair, three with a gold answer; a text counts as one).
    pub completions: usize,
    /// Completions that still have their end.
    pub complete_completions: usize,
    /// Complete completions that end with EOS, which is then learned.
    pub eos_in_mask: usize,
    /// Complete completions that end with another special token, as their chat template has it.
    pub other_stop_in_mask: usize,
    /// Conversations of which the assistant's turns are learned, as the chat template marks them.
    pub turns_by_marks: usize,
    /// Conversations of which the assistant's turns are learned, told apart by rendering turn by turn.
    pub turns_by_rendering: usize,
    /// Tokens, the prompt of a pair counted once.
    pub tokens: usize,
    /// Tokens that are labels.
    pub supervised_tokens: usize,
}

impl TokenizeReport {
    /// The share of complete completions that end with EOS; 1 where there are none.
    pub fn eos_share(&self) -> f64 {
        share(self.eos_in_mask, self.complete_completions)
    }

    /// Complete completions that end in text: nothing in them teaches where to stop.
    pub fn without_stop(&self) -> usize {
        self.complete_completions - self.eos_in_mask - self.other_stop_in_mask
    }

    /// The share of tokens that are labels.
    pub fn supervised_share(&self) -> f64 {
        share(self.supervised_tokens, self.tokens)
    }

    /// The reasons for leaving rows out, with their counts.
    pub(super) fn reasons(&self) -> String {
        let dropped = self.dropped.iter().map(|(reason, count)| format!("{count} × {reason}"));
        let left_out = self.left_out.iter().map(|it| format!("{} × {}", it.rows, it.reason));
        dropped.chain(left_out).collect::<Vec<_>>().join(", ")
    }

    /// Counts a row that cannot be processed.
    pub(super) fn leave_out(&mut self, reason: String, error: &DataError) {
        self.rows += 1;
        LeftOut::count(&mut self.left_out, reason, 1, error);
    }

    /// Adds a row's counts and hands back what was made of it.
    pub(super) fn absorb<T>(&mut self, outcome: RowOutcome<T>) -> Option<T> {
        self.rows += 1;
        if let Some(reason) = outcome.dropped {
            *self.dropped.entry(reason).or_default() += 1;
            return None;
        }
        let row = outcome.report;
        self.kept += 1;
        self.truncated += row.truncated;
        self.repaired_boundaries += row.repaired_boundaries;
        self.identical_answers += row.identical_answers;
        self.completions += row.completions;
        self.complete_completions += row.complete_completions;
        self.eos_in_mask += row.eos_in_mask;
        self.other_stop_in_mask += row.other_stop_in_mask;
        self.turns_by_marks += row.turns_by_marks;
        self.turns_by_rendering += row.turns_by_rendering;
        self.tokens += row.tokens;
        self.supervised_tokens += row.supervised_tokens;
        Some(outcome.item)
    }
}

impl fmt::Display for TokenizeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} rows, {} tokens", self.kept, self.rows, self.tokens)?;
        if self.completions > 0 {
            write!(f, ", {:.1} % of them learned", 100.0 * self.supervised_share())?;
        }
        if !self.dropped.is_empty() {
            let dropped = self.dropped.iter().map(|(reason, count)| format!("{count} × {reason}"));
            write!(f, "\n  dropped: {}", dropped.collect::<Vec<_>>().join(", "))?;
        }
        for reason in &self.left_out {
            write!(f, "\n{reason}")?;
        }
        for (count, what) in [
            (self.truncated, "truncated"),
            (self.repaired_boundaries, "with tokens merged across the end of the prompt, encoded apart"),
            (self.identical_answers, "with identical answers"),
        ] {
            if count > 0 {
                write!(f, "\n  {count} rows {what}")?;
            }
        }
        for (count, how) in [
            (self.turns_by_marks, "as the chat template marks them"),
            (self.turns_by_rendering, "told apart by rendering turn by turn"),
        ] {
            if count > 0 {
                write!(
                    f,
                    "\n  of {count} conversations the assistant's turns are learned, {how} (assistant_only_loss)"
                )?;
            }
        }
        if self.complete_completions > 0 {
            write!(f, "\n  EOS learned in {:.1} % of complete completions", 100.0 * self.eos_share())?;
        }
        if self.other_stop_in_mask > 0 {
            write!(f, " ({} end with another special token of the chat template)", self.other_stop_in_mask)?;
        }
        Ok(())
    }
}

/// One row's result with its own counts.
pub(crate) struct RowOutcome<T> {
    item: T,
    dropped: Option<DropReason>,
    /// The row's counts.
    pub(super) report: TokenizeReport,
}

impl RowOutcome<()> {
    /// The counts of a cut row; completions are taken to be learned, the prompt not.
    pub(super) fn of(cut: &Cut, repaired: bool, ending: impl Fn(&[u32]) -> Ending) -> Self {
        let complete = cut.completions.iter().zip(&cut.complete).filter(|(_, complete)| **complete);
        let endings: Vec<_> = complete.map(|(completion, _)| ending(completion)).collect();
        let count = |wanted| endings.iter().filter(|&&ending| ending == wanted).count();
        let completion_tokens: usize = cut.completions.iter().map(Vec::len).sum();
        let report = TokenizeReport {
            truncated: usize::from(cut.truncated),
            repaired_boundaries: usize::from(repaired),
            completions: cut.completions.len(),
            complete_completions: endings.len(),
            eos_in_mask: count(Ending::Eos),
            other_stop_in_mask: count(Ending::OtherSpecial),
            tokens: cut.prompt.len() + completion_tokens,
            supervised_tokens: completion_tokens,
            ..TokenizeReport::default()
        };
        Self { item: (), dropped: cut.unusable, report }
    }

    /// Counts the prompt's tokens as learned too, which makes a row usable whose prompt fills `max_length`.
    pub(super) fn learn_prompt(&mut self, tokens: usize) {
        self.report.supervised_tokens += tokens;
        if self.dropped == Some(DropReason::PromptFillsMaxLength) && tokens > 1 {
            self.dropped = None;
        }
    }

    /// Counts turns as completions, of a conversation of which they are learned. The last may have lost its end, if the
    /// conversation is not whole.
    pub(super) fn learn_turns(
        &mut self,
        tokens: &[u32],
        mask: &[bool],
        is_whole: bool,
        ending: impl Fn(&[u32]) -> Ending,
    ) {
        let (mut endings, mut begin, mut cut) = (Vec::new(), 0, 0);
        for run in mask.chunk_by(|a, b| a == b) {
            let end = begin + run.len();
            match run[0] {
                true if end < tokens.len() || is_whole => endings.push(ending(&tokens[begin..end])),
                true => cut = 1,
                false => {}
            }
            begin = end;
        }
        let count = |wanted| endings.iter().filter(|&&ending| ending == wanted).count();
        let report = &mut self.report;
        report.completions = endings.len() + cut;
        report.complete_completions = endings.len();
        report.eos_in_mask = count(Ending::Eos);
        report.other_stop_in_mask = count(Ending::OtherSpecial);
        report.supervised_tokens = mask.iter().filter(|&&learned| learned).count();
        let nothing = !mask.iter().skip(1).any(|&learned| learned);
        if nothing {
            self.drop_for(DropReason::NothingToLearn);
        }
    }

    /// Leaves the row out for a reason, if there was none before.
    pub(super) fn drop_for(&mut self, reason: DropReason) {
        self.dropped.get_or_insert(reason);
    }

    /// The same outcome, holding what was made of the row.
    pub(super) fn with<T>(self, item: T) -> RowOutcome<T> {
        RowOutcome { item, dropped: self.dropped, report: self.report }
    }
}

impl<T> RowOutcome<T> {
    /// The same outcome, holding something else.
    pub(super) fn map<S>(self, make: impl FnOnce(T) -> S) -> RowOutcome<S> {
        RowOutcome { item: make(self.item), dropped: self.dropped, report: self.report }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
