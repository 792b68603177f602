//! The only batch layout: one stream of tokens without padding, prompts computed once.
//!
//! A preference pair is a prompt and two completions that see it; a group is a prompt with many; a
//! demonstration is a sequence of its own. Exact, because a completion's positions continue after its
//! prompt. Lengths are explicit: nothing is ever inferred from pad ids.

use std::collections::HashMap;

use align_kernels::Segment;

/// A stream that a decoder runs over: tokens, their positions, and who sees whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Position of each token in its own sequence.
    pub positions: Vec<u32>,
    /// Runs of tokens and their contexts.
    pub segments: Vec<Segment>,
    /// Tokens that the sequence of each segment will have, where that is stated; otherwise it is as long as the stream
    /// makes it. Some rotary scalings turn the tokens of long sequences in another way.
    pub stated_lengths: Option<Vec<u32>>,
}

impl Stream {
    /// Tokens of the sequence of each row: of a prompt with several completions, that with the longest. So what is scored
    /// depends on its own sequence, and on those that share its prompt, but not on what else is in the stream.
    pub(crate) fn sequence_lengths(&self) -> Vec<u32> {
        let mut longest: HashMap<(usize, usize), usize> = HashMap::new();
        for segment in &self.segments {
            for keys in &segment.keys {
                let longest = longest.entry((keys.start, keys.end)).or_default();
                *longest = segment.context().max(*longest);
            }
        }
        let of = |segment: &Segment| {
            let own = (segment.queries.start, segment.queries.end);
            longest.get(&own).copied().unwrap_or_else(|| segment.context()) as u32
        };
        let lengths: Vec<u32> = match &self.stated_lengths {
            Some(lengths) => lengths.clone(),
            None => self.segments.iter().map(of).collect(),
        };
        let rows = self.segments.iter().zip(lengths);
        rows.flat_map(|(segment, length)| segment.queries.clone().map(move |_| length)).collect()
    }

    /// Appends tokens that continue after `context`, an already pushed run of `context.len()` tokens.
    fn push(&mut self, tokens: &[u32], context: Option<std::ops::Range<usize>>) -> std::ops::Range<usize> {
        let own = self.tokens.len()..self.tokens.len() + tokens.len();
        let first = context.as_ref().map_or(0, std::ops::Range::len) as u32;
        self.tokens.extend(tokens);
        self.positions.extend((first..).take(tokens.len()));
        self.segments
            .push(Segment { queries: own.clone(), keys: context.into_iter().chain([own.clone()]).collect() });
        own
    }
}

/// The tokens whose log-probs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Row of the stream that predicts the label.
    pub rows: Vec<u32>,
    /// The label's token id.
    pub labels: Vec<u32>,
    /// The sequence that each label belongs to, by number.
    pub sequences: Vec<u32>,
}

impl Targets {
    /// Number of labels.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there are no labels.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// A stream with its targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The stream that the decoder runs over.
    pub stream: Stream,
    /// The labels that are scored.
    pub targets: Targets,
    /// Number of sequences so far: demonstrations, or completions of prompts.
    pub sequences: usize,
}

impl Packed {
    /// Appends one sequence; `mask` says which of its tokens are labels. The first token is predicted by
    /// nothing and is never one.
    ///
    /// # Panics
    /// If `mask` and `tokens` differ in length.
    pub fn push_sequence(&mut self, tokens: &[u32], mask: &[bool]) {
        assert_eq!(tokens.len(), mask.len(), "one mask entry per token");
        if !tokens.is_empty() {
            let rows = self.stream.push(tokens, None);
            for i in (1..tokens.len()).filter(|&i| mask[i]) {
                self.target(rows.start + i - 1, tokens[i]);
            }
        }
        self.sequences += 1;
    }

    /// Appends a prompt and completions that share it; every completion token is a label (but the first
    /// one after an empty prompt, which nothing predicts).
    pub fn push_completions(&mut self, prompt: &[u32], completions: &[&[u32]]) {
        self.push_completions_but(prompt, completions, &[]);
    }

    /// [`Packed::push_completions`], some of whose tokens are context and no labels: their places, in rising order, in the
    /// completions put one behind the other. Places behind the last token are nobody's.
    pub fn push_completions_but(&mut self, prompt: &[u32], completions: &[&[u32]], context: &[u32]) {
        let prompt = (!prompt.is_empty()).then(|| self.stream.push(prompt, None));
        let mut place = 0;
        for completion in completions {
            if !completion.is_empty() {
                let rows = self.stream.push(completion, prompt.clone());
                let before = prompt.as_ref().map(|prompt| prompt.end - 1);
                let predicted_by = [before].into_iter().chain(rows.map(Some));
                for (row, (place, &label)) in predicted_by.zip((place..).zip(*completion)) {
                    if let Some(row) = row
                        && context.binary_search(&place).is_err()
                    {
                        self.target(row, label);
                    }
                }
            }
            place += completion.len() as u32;
            self.sequences += 1;
        }
    }

    /// [`Packed::push_completions_but`], with the prompt scored too: as a sequence of its own in front of the
    /// completions', whose labels are its tokens but the first.
    pub fn push_prompt_and_completions(&mut self, prompt: &[u32], completions: &[&[u32]], context: &[u32]) {
        let first = self.stream.tokens.len();
        let (sequence, targets) = (self.sequences, self.targets.len());
        self.sequences += 1;
        self.push_completions_but(prompt, completions, context);
        // The prompt's labels come before the completions', as its sequence does.
        let rows = first..first + prompt.len().saturating_sub(1);
        let count = rows.len();
        self.targets.rows.splice(targets..targets, rows.map(|row| row as u32));
        self.targets.labels.splice(targets..targets, prompt.iter().skip(1).copied());
        self.targets.sequences.splice(targets..targets, std::iter::repeat_n(sequence as u32, count));
    }

    /// The completions that follow a prompt, each with it, in order: token ids.
    pub fn completions(&self) -> impl Iterator<Item = (&[u32], &[u32])> {
        let tokens = |range: &std::ops::Range<usize>| &self.stream.tokens[range.clone()];
        self.stream.segments.iter().filter_map(move |segment| match segment.keys.as_slice() {
            [prompt, own] => Some((tokens(prompt), tokens(own))),
            _ => None,
        })
    }

    /// Rows of the stream that hold the last token of each completion that follows a prompt, in order.
    pub fn completion_ends(&self) -> Vec<u32> {
        let last = |segment: &Segment| (segment.keys.len() == 2).then(|| segment.queries.end as u32 - 1);
        self.stream.segments.iter().filter_map(last).collect()
    }

    fn target(&mut self, row: usize, label: u32) {
        self.targets.rows.push(row as u32);
        self.targets.labels.push(label);
        self.targets.sequences.push(self.sequences as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_within_completions_is_seen_and_not_scored() {
        let (mut shared, mut apart) = (Packed::default(), Packed::default());
        shared.push_completions_but(&[1, 2], &[&[3, 4, 5], &[6, 7]], &[0, 1, 4, 9]);
        apart.push_sequence(&[1, 2, 3, 4, 5], &[false, false, false, false, true]);
        apart.push_sequence(&[1, 2, 6, 7], &[false, false, true, false]);
        assert_eq!(shared.targets.labels, [5, 6]);
        assert_eq!(
            (&shared.targets.labels, &shared.targets.sequences),
            (&apart.targets.labels, &apart.targets.sequences)
        );
        assert_eq!(shared.targets.rows, [3, 1]);
        let mut whole = Packed::default();
        whole.push_completions(&[1, 2], &[&[3, 4, 5], &[6, 7]]);
        assert_eq!(whole.stream, shared.stream);
    }

    #[test]
    fn a_pair_computes_its_prompt_once() {
        let mut packed = Packed::default();
        packed.push_completions(&[1, 2, 3], &[&[4, 5], &[6]]);
        assert_eq!(packed.stream.tokens, [1, 2, 3, 4, 5, 6]);
        assert_eq!(packed.stream.positions, [0, 1, 2, 3, 4, 3]);
        assert_eq!(packed.stream.segments[2].keys, [0..3, 5..6]);
        assert_eq!(packed.targets.rows, [2, 3, 2]);
        assert_eq!(packed.targets.labels, [4, 5, 6]);
        assert_eq!(packed.targets.sequences, [0, 0, 1]);
        assert_eq!(packed.sequences, 2);
        let prompt = &[1, 2, 3][..];
        assert!(packed.completions().eq([(prompt, &[4, 5][..]), (prompt, &[6][..])]));
        assert_eq!(packed.completion_ends(), [4, 5]);
    }

    #[test]
    fn a_scored_prompt_is_a_sequence_in_front_of_its_completions() {
        let mut packed = Packed::default();
        packed.push_completions(&[9], &[&[8]]);
        packed.push_prompt_and_completions(&[1, 2, 3], &[&[4, 5], &[6]], &[]);
        assert_eq!(packed.stream.tokens, [9, 8, 1, 2, 3, 4, 5, 6]);
        assert_eq!(packed.targets.rows, [0, 2, 3, 4, 5, 4]);
        assert_eq!(packed.targets.labels, [8, 2, 3, 4, 5, 6]);
        assert_eq!(packed.targets.sequences, [0, 1, 1, 2, 2, 3]);
        assert_eq!(packed.sequences, 4);
    }

    #[test]
    fn the_first_token_of_all_is_no_label() {
        let mut packed = Packed::default();
        packed.push_sequence(&[7, 8, 9], &[true, true, false]);
        packed.push_completions(&[], &[&[4, 5]]);
        assert_eq!(packed.targets.rows, [0, 3]);
        assert_eq!(packed.targets.labels, [8, 5]);
        assert_eq!(packed.targets.sequences, [0, 1]);
    }
}
