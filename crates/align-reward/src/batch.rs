//! Micro-batches of ranked answers: each prompt once, its answers behind it.

use std::borrow::Cow;

use align_data::{RowSource, TokenizedRanking};
use align_models::Packed;

/// A micro-batch of rankings, packed.
pub struct RankingBatch {
    /// The stream; empty where the answers' features are known already.
    pub packed: Packed,
    /// Answers of each row, one row after the other, the best first.
    counts: Vec<usize>,
    /// Each answer's number in the whole data set.
    numbers: Vec<u32>,
    margins: Option<Vec<f32>>,
    origins: Vec<String>,
    num_tokens: usize,
}

impl RankingBatch {
    /// Packs the rows with the given indices.
    ///
    /// # Errors
    /// Rows that cannot be read from where they are.
    pub fn new<'a>(
        rows: impl Into<RowSource<'a, TokenizedRanking>>,
        indices: &[usize],
    ) -> align_data::Result<Self> {
        let rows = rows.into().pick(indices)?;
        let mut batch = Self::without_tokens(&rows);
        for answers in rows.iter().map(|row| &row.answers) {
            let completions: Vec<&[u32]> = answers.completions.iter().map(Vec::as_slice).collect();
            batch.packed.push_completions(&answers.prompt, &completions);
        }
        Ok(batch)
    }

    /// The rows with the given indices by the numbers of their answers: `first_answers` is [`first_answers`] of
    /// all rows.
    ///
    /// # Errors
    /// As [`RankingBatch::new`].
    pub fn numbered<'a>(
        rows: impl Into<RowSource<'a, TokenizedRanking>>,
        indices: &[usize],
        first_answers: &[usize],
    ) -> align_data::Result<Self> {
        let mut batch = Self::without_tokens(&rows.into().pick(indices)?);
        let numbers = indices.iter().zip(&batch.counts).flat_map(|(&index, &count)| {
            let first = first_answers[index] as u32;
            first..first + count as u32
        });
        batch.numbers = numbers.collect();
        Ok(batch)
    }

    fn without_tokens(rows: &[Cow<'_, TokenizedRanking>]) -> Self {
        let rows = || rows.iter();
        let tokens = |row: &Cow<'_, TokenizedRanking>| {
            let completions = row.answers.completions.iter();
            completions.map(|completion| row.answers.prompt.len() + completion.len()).sum::<usize>()
        };
        Self {
            packed: Packed::default(),
            counts: rows().map(|row| row.answers.completions.len()).collect(),
            numbers: Vec::new(),
            margins: rows().map(|row| row.margin.map(|margin| margin as f32)).collect(),
            origins: rows().map(|row| row.answers.origin.to_string()).collect(),
            num_tokens: rows().map(tokens).sum(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// True if the batch has no rows.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The rows' origins, as `file:line`.
    pub fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }

    /// Answers of each row.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Each answer's number in the whole data set.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Margins of the rows, which are pairs then.
    pub fn margins(&self) -> Option<&[f32]> {
        self.margins.as_deref()
    }

    /// Tokens of the batch as TRL counts them: prompts once for each answer.
    pub fn num_tokens(&self) -> usize {
        self.num_tokens
    }

    /// Labels of the best answers: rows of the stream that predict them, token ids, and each label's share of its answer,
    /// which is 1 over the answer's labels.
    pub fn best_labels(&self) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let (mut rows, mut labels, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let targets = &self.packed.targets;
        let mut first = 0;
        for &count in &self.counts {
            let of_best = targets.sequences.iter().enumerate().filter(|(_, sequence)| **sequence == first);
            let places: Vec<usize> = of_best.map(|(place, _)| place).collect();
            rows.extend(places.iter().map(|&place| targets.rows[place]));
            labels.extend(places.iter().map(|&place| targets.labels[place]));
            shares.extend(places.iter().map(|_| 1.0 / places.len() as f32));
            first += count as u32;
        }
        (rows, labels, shares)
    }

    /// All pairs of answers to one prompt: places of the better and the worse one in the batch, and the pair's share
    /// of its row, which is 1 over the row's pairs.
    pub fn pairs(&self) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let (mut better, mut worse, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for &count in &self.counts {
            let pairs = count * count.saturating_sub(1) / 2;
            for i in 0..count {
                for j in i + 1..count {
                    better.push((first + i) as u32);
                    worse.push((first + j) as u32);
                    shares.push(1.0 / pairs as f32);
                }
            }
            first += count;
        }
        (better, worse, shares)
    }
}

/// The number of each row's first answer, where all answers of the data set are counted one after the other.
///
/// # Errors
/// Rows that cannot be read from where they are.
pub fn first_answers<'a>(rows: impl Into<RowSource<'a, TokenizedRanking>>) -> align_data::Result<Vec<usize>> {
    let mut next = 0;
    let number = |row: align_data::Result<Cow<'a, TokenizedRanking>>| {
        let first = next;
        next += row?.answers.completions.len();
        Ok(first)
    };
    rows.into().iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ranking;

    #[test]
    fn answers_keep_their_rows_and_their_order() {
        let rows = [ranking(0, &[2, 3]), ranking(1, &[1, 1, 4]), ranking(2, &[5, 1])];
        let batch = RankingBatch::new(&rows, &[1, 0]).unwrap();
        assert_eq!((batch.counts(), batch.len()), (&[3, 2][..], 2));
        let (better, worse, shares) = batch.pairs();
        assert_eq!((better, worse), (vec![0, 0, 1, 3], vec![1, 2, 2, 4]));
        assert_eq!(shares, [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 1.0]);
        // Prompts of one and two tokens.
        assert_eq!(batch.num_tokens(), (2 + 1) + (2 + 1) + (2 + 4) + (1 + 2) + (1 + 3));
        assert_eq!(batch.packed.completion_ends().len(), 5);

        // The best answer of row 1 behind its prompt of two tokens, then that of row 0 behind one.
        let (predicting, labels, shares) = batch.best_labels();
        assert_eq!((predicting, labels), (vec![1, 8, 9], vec![10, 10, 10]));
        assert_eq!(shares, [1.0, 0.5, 0.5]);

        let numbered = RankingBatch::numbered(&rows, &[2, 0], &first_answers(&rows).unwrap()).unwrap();
        assert_eq!(numbered.numbers(), [5, 6, 0, 1]);
        assert!(numbered.packed.stream.tokens.is_empty());
    }
}
