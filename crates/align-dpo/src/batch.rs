//! Micro-batches of preference pairs: each prompt once, its two answers behind it.

use align_data::TokenizedPair;
use align_losses::PairLogProbs;
use align_models::Packed;
use candle_core::Tensor;

/// Some pairs of a data set, packed.
pub struct PairBatch {
    /// Sequences `2i` and `2i + 1` are the chosen and the rejected answer of the batch's pair `i`.
    pub packed: Packed,
    indices: Vec<usize>,
    origins: Vec<String>,
}

impl PairBatch {
    /// Packs the pairs with the given indices.
    pub fn new(pairs: &[TokenizedPair], indices: &[usize]) -> Self {
        let mut packed = Packed::default();
        for &index in indices {
            let pair = &pairs[index];
            packed.push_completions(&pair.prompt, &[&pair.chosen, &pair.rejected]);
        }
        let origins = indices.iter().map(|&index| pairs[index].origin.to_string()).collect();
        Self { packed, indices: indices.to_vec(), origins }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Where the pairs were read from.
    pub fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }

    /// Each sequence's number in the whole data set: pair `i` has `2i` and `2i + 1`.
    pub fn sequence_numbers(&self) -> Vec<usize> {
        self.indices.iter().flat_map(|index| [2 * index, 2 * index + 1]).collect()
    }

    /// Tokens of the batch as TRL counts them: prompts once for each answer.
    pub fn num_tokens(&self) -> usize {
        let context = |segment: &align_kernels::Segment| {
            if segment.keys.len() > 1 { segment.context() } else { 0 }
        };
        self.packed.stream.segments.iter().map(context).sum()
    }

    /// Sequence log-probs `[2 · pairs]` by answer.
    ///
    /// # Errors
    /// If there are not two per pair.
    pub fn by_answer(&self, log_probs: &Tensor) -> candle_core::Result<PairLogProbs> {
        let by_pair = log_probs.reshape((self.len(), 2))?.t()?.contiguous()?; // [2, pairs]
        Ok(PairLogProbs { chosen: by_pair.get(0)?, rejected: by_pair.get(1)? })
    }
}

#[cfg(test)]
mod tests {
    use align_data::Origin;

    use super::*;

    #[test]
    fn answers_come_apart_as_they_went_in() {
        let pair = |row: usize| TokenizedPair {
            prompt: vec![1; row + 1],
            chosen: vec![2, 3],
            rejected: vec![4],
            row,
            origin: Origin::in_code(row),
        };
        let batch = PairBatch::new(&[pair(0), pair(1), pair(2)], &[2, 0]);
        assert_eq!(batch.sequence_numbers(), [4, 5, 0, 1]);
        // Prompts of three and one tokens, each with answers of two tokens and one.
        assert_eq!(batch.num_tokens(), (3 + 2) + (3 + 1) + (1 + 2) + (1 + 1));
        let log_probs = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &candle_core::Device::Cpu).unwrap();
        let answers = batch.by_answer(&log_probs).unwrap();
        assert_eq!(answers.chosen.to_vec1::<f32>().unwrap(), [1.0, 3.0]);
        assert_eq!(answers.rejected.to_vec1::<f32>().unwrap(), [2.0, 4.0]);
    }
}
