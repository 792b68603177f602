//! Micro-batches of single answers, each behind its prompt; for KTO, with an answer to another prompt.

use std::borrow::Cow;

use align_data::{RowSource, TokenizedCompletion};
use align_models::Packed;
use candle_core::{Device, Result, Tensor};

/// A micro-batch of single answers, packed.
pub struct UnpairedBatch {
    /// One sequence per answer, or two where there are mismatched answers: the answer, and after the same
    /// prompt that of the row before.
    pub packed: Packed,
    desirable: Vec<bool>,
    mismatched: bool,
    indices: Vec<usize>,
    origins: Vec<String>,
}

impl UnpairedBatch {
    /// Packs the rows with the given indices.
    ///
    /// # Errors
    /// Rows that cannot be read from where they are.
    pub fn new<'a>(
        rows: impl Into<RowSource<'a, TokenizedCompletion>>,
        indices: &[usize],
    ) -> align_data::Result<Self> {
        let (mut batch, rows) = Self::empty(rows.into(), indices)?;
        for row in rows {
            batch.packed.push_completions_but(&row.prompt, &[&row.completion], &row.unlearned);
        }
        Ok(batch)
    }

    /// Packs each prompt with its own answer and with that of the row before it in the micro-batch (before the
    /// first comes the last): from the second, KTO estimates the KL (Ethayarajh et al. 2024, section 4.1; the
    /// same pairing as TRL's). A row that is alone gets the answer of the data set's row before it: its own
    /// would make the estimate its own reward. Mismatched answers are cut to `max_length` behind their new prompt.
    ///
    /// # Errors
    /// As [`UnpairedBatch::new`].
    pub fn with_mismatched<'a>(
        all: impl Into<RowSource<'a, TokenizedCompletion>>,
        indices: &[usize],
        max_length: Option<usize>,
    ) -> align_data::Result<Self> {
        let all: RowSource<'a, TokenizedCompletion> = all.into();
        let (batch, rows) = Self::empty(all, indices)?;
        let mut batch = Self { mismatched: true, ..batch };
        let before = match indices {
            [only] => Some(all.get((only + all.len() - 1) % all.len())?),
            _ => rows.last().cloned(),
        };
        let others = before.iter().chain(&rows);
        for (row, other) in rows.iter().zip(others) {
            let mismatched = other.completion_after(&row.prompt, max_length);
            let (own, length) = (&row.completion, row.completion.len() as u32);
            let of_own = row.unlearned.iter().copied().filter(|&place| place < length);
            let of_other = other.unlearned.iter().map(|place| place + length);
            let unlearned: Vec<u32> = of_own.chain(of_other).collect();
            batch.packed.push_completions_but(&row.prompt, &[own, &mismatched], &unlearned);
        }
        Ok(batch)
    }

    /// A batch of these rows without their tokens, and the rows.
    fn empty<'a>(
        rows: RowSource<'a, TokenizedCompletion>,
        indices: &[usize],
    ) -> align_data::Result<(Self, Vec<Cow<'a, TokenizedCompletion>>)> {
        let rows = rows.pick(indices)?;
        let batch = Self {
            packed: Packed::default(),
            desirable: rows.iter().map(|row| row.desirable).collect(),
            mismatched: false,
            indices: indices.to_vec(),
            origins: rows.iter().map(|row| row.origin.to_string()).collect(),
        };
        Ok((batch, rows))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// True if the batch has no rows.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The rows' origins, as `file:line`.
    pub fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }

    /// Labels: true for a desirable answer.
    pub fn desirable(&self) -> &[bool] {
        &self.desirable
    }

    /// [`Self::desirable`] as a mask, `[rows]`.
    ///
    /// # Errors
    /// If it cannot be put on the device.
    pub fn mask(&self, device: &Device) -> Result<Tensor> {
        Tensor::new(self.desirable.iter().map(|&desirable| u8::from(desirable)).collect::<Vec<_>>(), device)
    }

    /// Each sequence's number in the whole data set; rows are numbered in their own order.
    pub fn sequence_numbers(&self) -> Vec<usize> {
        let per_row = self.sequences_per_row();
        self.indices.iter().flat_map(|index| (0..per_row).map(move |place| per_row * index + place)).collect()
    }

    /// Sequences of a row in the stream.
    pub fn sequences_per_row(&self) -> usize {
        1 + usize::from(self.mismatched)
    }

    /// Values of sequences by row: those of the answers and, if there are any, of the mismatched ones.
    ///
    /// # Errors
    /// If there are not as many values.
    pub fn by_row(&self, values: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let values = values.reshape((self.len(), self.sequences_per_row()))?;
        let column = |column: usize| values.narrow(1, column, 1)?.squeeze(1)?.contiguous();
        Ok((column(0)?, if self.mismatched { Some(column(1)?) } else { None }))
    }

    /// Tokens of the rows, without the mismatched answers.
    pub fn num_tokens(&self) -> usize {
        let completions = self.packed.stream.segments.iter().filter(|segment| segment.keys.len() > 1);
        completions.step_by(self.sequences_per_row()).map(align_kernels::Segment::context).sum()
    }
}

#[cfg(test)]
mod tests {
    use align_data::Origin;

    use super::*;

    fn rows() -> Vec<TokenizedCompletion> {
        let row = |row: usize| TokenizedCompletion {
            prompt: vec![1; row + 1],
            prompt_is_cut: false,
            completion: vec![10 + row as u32; row + 1],
            cut_off: vec![99; row],
            unlearned: Vec::new(),
            desirable: row != 1,
            row,
            origin: Origin::in_code(row),
        };
        (0..4).map(row).collect()
    }

    #[test]
    fn the_mismatched_answer_is_that_of_the_row_before_in_the_batch() {
        let batch = UnpairedBatch::with_mismatched(&rows(), &[3, 0, 1], Some(8)).unwrap();
        assert_eq!(
            batch.packed.stream.tokens,
            [
                &[1; 4][..],
                &[13; 4],
                &[11, 11, 99],
                &[1],
                &[10],
                &[13, 13, 13, 13, 99, 99, 99],
                &[1; 2],
                &[11; 2],
                &[10]
            ]
            .concat()
        );
        assert_eq!(batch.desirable(), [true, true, false]);
        assert_eq!(batch.num_tokens(), (4 + 4) + (1 + 1) + (2 + 2));
        assert_eq!(batch.sequence_numbers(), [6, 7, 0, 1, 2, 3]);
        let (own, other) = batch.by_row(&Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(own.to_vec1::<f32>().unwrap(), [0.0, 2.0, 4.0]);
        assert_eq!(other.unwrap().to_vec1::<f32>().unwrap(), [1.0, 3.0, 5.0]);
    }

    #[test]
    fn a_row_alone_is_not_compared_with_itself() {
        let batch = UnpairedBatch::with_mismatched(&rows(), &[2], Some(6)).unwrap();
        assert_eq!(batch.packed.stream.tokens, [&[1; 3][..], &[12; 3], &[11, 11, 99]].concat());
        let batch = UnpairedBatch::new(&rows(), &[2]).unwrap();
        assert_eq!((batch.sequence_numbers(), batch.num_tokens()), (vec![2], 6));
        assert!(
            batch
                .by_row(&Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap())
                .unwrap()
                .1
                .is_none()
        );
    }
}
