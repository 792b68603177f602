//! Micro-batches of preference pairs: each prompt once, its answers behind it.

use std::borrow::Cow;

use align_data::{RowSource, TokenizedPair};
use align_losses::{PairLengths, PairLogProbs};
use align_models::Packed;
use candle_core::{Device, Result, Tensor, bail};

/// A micro-batch of preference pairs, packed.
pub struct PairBatch {
    /// The stream. Each pair has [`Self::sequences_per_pair`] sequences: its prompt if that is scored, the
    /// chosen and the rejected answer, and the gold one if there is one.
    pub packed: Packed,
    indices: Vec<usize>,
    origins: Vec<String>,
    prompt_is_scored: bool,
    has_gold: bool,
    twins: Vec<bool>,
}

impl PairBatch {
    /// Packs the pairs with the given indices: chosen and rejected answers.
    ///
    /// # Errors
    /// Rows that cannot be read from where they are.
    pub fn new<'a>(
        pairs: impl Into<RowSource<'a, TokenizedPair>>,
        indices: &[usize],
    ) -> align_data::Result<Self> {
        let (mut batch, pairs) = Self::empty(pairs.into(), indices)?;
        for pair in pairs {
            let answers: [&[u32]; 2] = [&pair.chosen, &pair.rejected];
            batch.packed.push_completions_but(&pair.prompt, &answers, &pair.unlearned);
        }
        Ok(batch)
    }

    /// [`PairBatch::new`] with the prompts' tokens scored too.
    ///
    /// # Errors
    /// As [`PairBatch::new`].
    pub fn with_prompts<'a>(
        pairs: impl Into<RowSource<'a, TokenizedPair>>,
        indices: &[usize],
    ) -> align_data::Result<Self> {
        let (batch, pairs) = Self::empty(pairs.into(), indices)?;
        let mut batch = Self { prompt_is_scored: true, ..batch };
        for pair in pairs {
            let answers: [&[u32]; 2] = [&pair.chosen, &pair.rejected];
            batch.packed.push_prompt_and_completions(&pair.prompt, &answers, &pair.unlearned);
        }
        Ok(batch)
    }

    /// [`PairBatch::new`] with the pairs' gold answers as a third answer.
    ///
    /// # Errors
    /// As [`PairBatch::new`].
    ///
    /// # Panics
    /// If a pair has none: they must have been read with their references.
    pub fn with_gold<'a>(
        pairs: impl Into<RowSource<'a, TokenizedPair>>,
        indices: &[usize],
    ) -> align_data::Result<Self> {
        let (batch, pairs) = Self::empty(pairs.into(), indices)?;
        let mut batch = Self { has_gold: true, ..batch };
        for pair in pairs {
            let gold = pair.reference.as_ref().expect("the pairs were read with their references");
            let answers: [&[u32]; 3] = [&pair.chosen, &pair.rejected, gold];
            batch.packed.push_completions_but(&pair.prompt, &answers, &pair.unlearned);
        }
        Ok(batch)
    }

    /// A batch of these pairs without their tokens, and the pairs.
    fn empty<'a>(
        pairs: RowSource<'a, TokenizedPair>,
        indices: &[usize],
    ) -> align_data::Result<(Self, Vec<Cow<'a, TokenizedPair>>)> {
        let pairs = pairs.pick(indices)?;
        let batch = Self {
            packed: Packed::default(),
            indices: indices.to_vec(),
            origins: pairs.iter().map(|pair| pair.origin.to_string()).collect(),
            prompt_is_scored: false,
            has_gold: false,
            twins: Vec::new(),
        };
        Ok((batch, pairs))
    }

    /// The same with what is known of all pairs of the data set: whether their answers are twins.
    ///
    /// # Panics
    /// If it is not known of one of the batch.
    #[must_use]
    pub fn with_twins(self, twins: &[bool]) -> Self {
        let twins = self.indices.iter().map(|&index| twins[index]).collect();
        Self { twins, ..self }
    }

    /// Whether the pairs' answers are twins; empty where that is not known.
    pub fn twins(&self) -> &[bool] {
        &self.twins
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// True if the batch has no pairs.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The pairs' origins, as `file:line`.
    pub fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }

    /// Sequences of a pair in the stream.
    pub fn sequences_per_pair(&self) -> usize {
        2 + usize::from(self.prompt_is_scored) + usize::from(self.has_gold)
    }

    /// Each answer's number in the whole data set: pair `i` has `2i` and `2i + 1`.
    pub fn answer_numbers(&self) -> Vec<usize> {
        self.indices.iter().flat_map(|index| [2 * index, 2 * index + 1]).collect()
    }

    /// Tokens of the batch as TRL counts them: prompts once for each answer.
    pub fn num_tokens(&self) -> usize {
        let context = |segment: &align_kernels::Segment| {
            if segment.keys.len() > 1 { segment.context() } else { 0 }
        };
        self.packed.stream.segments.iter().map(context).sum()
    }

    /// Values of sequences, `[pairs · sequences_per_pair]`, by answer.
    ///
    /// # Errors
    /// If there are not as many.
    pub fn by_answer(&self, values: &Tensor) -> Result<PairLogProbs> {
        let chosen = usize::from(self.prompt_is_scored);
        Ok(PairLogProbs { chosen: self.column(values, chosen)?, rejected: self.column(values, chosen + 1)? })
    }

    /// Values of the scored prompts among those of all sequences, `[pairs]`.
    ///
    /// # Errors
    /// If prompts are not scored.
    pub fn of_prompts(&self, values: &Tensor) -> Result<Tensor> {
        if !self.prompt_is_scored {
            bail!("expected a batch whose prompts are scored");
        }
        self.column(values, 0)
    }

    /// Values of the gold answers among those of all sequences, `[pairs]`.
    ///
    /// # Errors
    /// If there are none.
    pub fn of_gold(&self, values: &Tensor) -> Result<Tensor> {
        if !self.has_gold {
            bail!("expected a batch with gold answers");
        }
        self.column(values, self.sequences_per_pair() - 1)
    }

    /// Scored tokens of each sequence.
    pub fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.packed.sequences];
        self.packed.targets.sequences.iter().for_each(|&sequence| lengths[sequence as usize] += 1);
        lengths
    }

    /// Scored tokens of the answers.
    ///
    /// # Errors
    /// If they cannot be put on the device.
    pub fn answer_lengths(&self, device: &Device) -> Result<PairLengths> {
        let lengths: Vec<f32> = self.lengths().into_iter().map(|length| length as f32).collect();
        let answers = self.by_answer(&Tensor::new(lengths, device)?)?;
        Ok(PairLengths { chosen: answers.chosen, rejected: answers.rejected })
    }

    fn column(&self, values: &Tensor, column: usize) -> Result<Tensor> {
        values
            .reshape((self.len(), self.sequences_per_pair()))?
            .narrow(1, column, 1)?
            .squeeze(1)?
            .contiguous()
    }
}

#[cfg(test)]
mod tests {
    use align_data::Origin;

    use super::*;

    fn pair(row: usize) -> TokenizedPair {
        TokenizedPair {
            prompt: vec![1; row + 1],
            prompt_is_cut: false,
            chosen: vec![2, 3],
            rejected: vec![4],
            reference: Some(vec![5, 6, 7]),
            unlearned: Vec::new(),
            row,
            origin: Origin::in_code(row),
        }
    }

    fn pairs() -> [TokenizedPair; 3] {
        [pair(0), pair(1), pair(2)]
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn answers_come_apart_as_they_went_in() {
        let batch = PairBatch::new(&pairs(), &[2, 0]).unwrap();
        assert_eq!(batch.answer_numbers(), [4, 5, 0, 1]);
        // Prompts of three and one tokens, each with answers of two tokens and one.
        assert_eq!(batch.num_tokens(), (3 + 2) + (3 + 1) + (1 + 2) + (1 + 1));
        let log_probs = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu).unwrap();
        let answers = batch.by_answer(&log_probs).unwrap();
        assert_eq!((values(&answers.chosen), values(&answers.rejected)), (vec![1.0, 3.0], vec![2.0, 4.0]));
        let lengths = batch.answer_lengths(&Device::Cpu).unwrap();
        assert_eq!((values(&lengths.chosen), values(&lengths.rejected)), (vec![2.0, 2.0], vec![1.0, 1.0]));
        assert!(batch.of_prompts(&log_probs).is_err() && batch.of_gold(&log_probs).is_err());
    }

    #[test]
    fn scored_prompts_and_gold_answers_are_sequences_beside_the_answers() {
        let numbers = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap();
        let prompts = PairBatch::with_prompts(&pairs(), &[2, 0]).unwrap();
        assert_eq!(values(&prompts.of_prompts(&numbers).unwrap()), [0.0, 3.0]);
        assert_eq!(values(&prompts.by_answer(&numbers).unwrap().rejected), [2.0, 5.0]);
        assert_eq!(prompts.lengths(), [2, 2, 1, 0, 2, 1]);
        assert_eq!(prompts.num_tokens(), PairBatch::new(&pairs(), &[2, 0]).unwrap().num_tokens());

        let gold = PairBatch::with_gold(&pairs(), &[2, 0]).unwrap();
        assert_eq!(values(&gold.of_gold(&numbers).unwrap()), [2.0, 5.0]);
        assert_eq!(values(&gold.by_answer(&numbers).unwrap().chosen), [0.0, 3.0]);
        assert_eq!(gold.lengths(), [2, 1, 3, 2, 1, 3]);
    }
}
