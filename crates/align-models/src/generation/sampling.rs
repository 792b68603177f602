//! The next token of many sequences at once.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, bail};
use rayon::prelude::*;

use super::GenerationOptions;
use super::sequence::Sequence;
use crate::Result;

/// Extends the sequences of `rows[i]` by a token each, sampled from row i of `logits`, `[rows, vocab]` in
/// f32, which are used up: in main memory they are not copied but changed in place.
///
/// # Errors
/// If logits are not finite, of the first sequence for which they are not.
pub(super) fn extend(
    mut rows: Vec<&mut [Sequence]>,
    logits: &Tensor,
    eos: &[u32],
    options: &GenerationOptions,
) -> Result<()> {
    let (_, vocab) = logits.dims2()?;
    let extend_row = |(sequences, logits): (&mut &mut [Sequence], &mut [f32])| {
        let Some((last, others)) = sequences.split_last_mut() else { return Ok(()) };
        for sequence in others {
            sequence.extend(&mut logits.to_vec(), eos, options.min_new_tokens)?;
        }
        last.extend(logits, eos, options.min_new_tokens)
    };
    let mut sampled: Vec<Result<()>> = Vec::new();
    let mut sample = |logits: &mut [f32]| {
        let rows = rows.par_iter_mut().zip(logits.par_chunks_exact_mut(vocab));
        rows.map(extend_row).collect_into_vec(&mut sampled);
    };
    if logits.device().is_cpu() {
        logits.contiguous()?.inplace_op1(&InPlace(RefCell::new(sample)))?;
    } else {
        let mut logits = logits.flatten_all()?.to_vec1::<f32>()?;
        sample(&mut logits);
    }
    sampled.into_iter().collect()
}

/// Lends a contiguous f32 tensor's elements in main memory.
struct InPlace<F>(RefCell<F>);

impl<F: FnMut(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(elements), Some((start, end))) => {
                (self.0.borrow_mut())(&mut elements[start..end]);
                Ok(())
            }
            _ => bail!("sample: expected contiguous f32 logits"),
        }
    }
}
