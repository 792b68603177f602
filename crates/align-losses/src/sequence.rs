//! Which tokens make which sequence, and what is taken over them: log π(y|x) = Σ_t log π(y_t | x, y_<t).
//!
//! Two layouts come in, and [`Sequences`] makes them one. The *packed* one is a flat vector of the tokens
//! that count, each with the number of its sequence; nothing in it is padding. The *padded* one is
//! `[batch, seq]` with a mask (1 = counts), as most other code has it; its log-probs and mask must be shifted
//! against each other by one, because the logits at position t are about the token at t + 1:
//! [`shifted_log_probs`] and [`shift_mask`] do that and nothing else does.
//!
//! Sums are taken in f64 (Metal has none and uses f32) and returned in the type of the values: over thousands
//! of tokens a running f32 sum would drift by 10⁻², which β then sees as reward.

use candle_core::{D, DType, Device, Result, Tensor, bail};

use crate::checks::{at_least_f32, condition};
use crate::likelihood::label_log_probs;

/// The sequences that a tensor's tokens belong to.
#[derive(Clone, Debug)]
pub struct Sequences {
    layout: Layout,
    lengths: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Layout {
    /// Sequence of each token, u32 `[tokens]`.
    Packed(Tensor),
    /// Whether an entry counts, u8 `[batch, seq]`.
    Padded(Tensor),
}

impl Sequences {
    /// Packed tokens: `ids[i]` is the sequence (below `sequences`) that token `i` belongs to, in any order. A
    /// sequence that no token names is empty.
    ///
    /// # Errors
    /// If an id is not below `sequences`.
    pub fn packed(ids: &[u32], sequences: usize, device: &Device) -> Result<Self> {
        let mut lengths = vec![0; sequences];
        for &id in ids {
            match lengths.get_mut(id as usize) {
                Some(length) => *length += 1,
                None => bail!("expected sequence ids below {sequences}, got {id}"),
            }
        }
        Ok(Self { layout: Layout::Packed(Tensor::from_slice(ids, ids.len(), device)?), lengths })
    }

    /// Padded rows `[batch, seq]`: a row is a sequence, made of the entries where the mask is not zero.
    ///
    /// # Errors
    /// If the mask is not `[batch, seq]`.
    pub fn padded(mask: &Tensor) -> Result<Self> {
        mask.dims2()?;
        let counts = condition(mask)?;
        let lengths = counts.to_dtype(DType::U32)?.sum(D::Minus1)?.to_vec1::<u32>()?;
        Ok(Self { layout: Layout::Padded(counts), lengths: lengths.iter().map(|&n| n as usize).collect() })
    }

    /// Number of sequences, empty ones included.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// True if there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Shape of the tensors whose tokens these are: `[tokens]` packed, `[batch, seq]` padded.
    pub fn dims(&self) -> &[usize] {
        match &self.layout {
            Layout::Packed(tensor) | Layout::Padded(tensor) => tensor.dims(),
        }
    }

    /// The values that count, zero elsewhere; in at least f32. What does not count may be infinite or NaN and
    /// gets no gradient.
    ///
    /// # Errors
    /// If the values do not have the shape [`Self::dims`] or are not of a floating type.
    pub fn counted(&self, values: &Tensor) -> Result<Tensor> {
        if values.dims() != self.dims() {
            bail!("expected values of the sequences' tokens {:?}, got {:?}", self.dims(), values.dims());
        }
        let values = at_least_f32("values", values)?;
        match &self.layout {
            Layout::Packed(_) => Ok(values),
            Layout::Padded(counts) => counts.where_cond(&values, &values.zeros_like()?),
        }
    }

    /// Each sequence's sum: token values → `[sequences]`. An empty sequence has 0.
    ///
    /// Differentiable and deterministic: tokens are added in order.
    ///
    /// # Errors
    /// As [`Self::counted`].
    pub fn sums(&self, values: &Tensor) -> Result<Tensor> {
        let values = self.counted(values)?;
        let dtype = values.dtype();
        let precise = if values.device().is_metal() { dtype } else { DType::F64 };
        let sums = match &self.layout {
            Layout::Padded(_) => values.to_dtype(precise)?.sum(D::Minus1)?,
            Layout::Packed(ids) => {
                let sums = Tensor::zeros(self.len(), precise, values.device())?;
                if values.elem_count() == 0 {
                    sums
                } else {
                    sums.index_add(ids, &values.to_dtype(precise)?.contiguous()?, 0)?
                }
            }
        };
        sums.to_dtype(dtype)
    }

    /// Each sequence's mean: token values → `[sequences]`. An empty sequence has 0.
    ///
    /// # Errors
    /// As [`Self::counted`].
    pub fn means(&self, values: &Tensor) -> Result<Tensor> {
        let sums = self.sums(values)?;
        let divisors: Vec<f64> = self.lengths.iter().map(|&length| length.max(1) as f64).collect();
        sums.div(&Tensor::new(divisors, sums.device())?.to_dtype(sums.dtype())?)
    }

    /// Gives every token its sequence's value: `[sequences]` → [`Self::dims`]. Differentiable; padding gets
    /// its row's value too.
    ///
    /// # Errors
    /// If there is not one value per sequence.
    pub fn spread(&self, per_sequence: &Tensor) -> Result<Tensor> {
        if per_sequence.dims() != [self.len()] {
            bail!("expected one value per sequence [{}], got {:?}", self.len(), per_sequence.dims());
        }
        match &self.layout {
            Layout::Packed(ids) => per_sequence.contiguous()?.index_select(ids, 0),
            Layout::Padded(counts) => per_sequence.unsqueeze(1)?.broadcast_as(counts.dims())?.contiguous(),
        }
    }

    /// The positions of each sequence's tokens in the flattened tensor, in order.
    ///
    /// # Errors
    /// If the layout cannot be read from its device.
    pub fn positions(&self) -> Result<Vec<Vec<usize>>> {
        let mut positions: Vec<Vec<usize>> = self.lengths.iter().map(|&n| Vec::with_capacity(n)).collect();
        match &self.layout {
            Layout::Packed(ids) => {
                for (position, id) in ids.to_vec1::<u32>()?.into_iter().enumerate() {
                    positions[id as usize].push(position);
                }
            }
            Layout::Padded(counts) => {
                for (row, counts) in counts.to_vec2::<u8>()?.into_iter().enumerate() {
                    let start = row * counts.len();
                    let counted = (start..).zip(counts).filter(|&(_, counts)| counts != 0);
                    positions[row].extend(counted.map(|(position, _)| position));
                }
            }
        }
        Ok(positions)
    }

    /// Place of each token among those that count in its sequence, from 0: u32, of shape [`Self::dims`].
    /// Padding has the place of the next token that counts.
    ///
    /// # Errors
    /// If the layout cannot be read from its device.
    pub fn places(&self) -> Result<Tensor> {
        match &self.layout {
            Layout::Packed(ids) => {
                let mut next = vec![0u32; self.len()];
                let mut place = |id: u32| {
                    let own = next[id as usize];
                    next[id as usize] += 1;
                    own
                };
                let places: Vec<u32> = ids.to_vec1::<u32>()?.into_iter().map(&mut place).collect();
                Tensor::from_vec(places, ids.dims(), ids.device())
            }
            Layout::Padded(counts) => {
                let mut places = Vec::with_capacity(counts.elem_count());
                for row in counts.to_vec2::<u8>()? {
                    let mut next = 0u32;
                    for counts in row {
                        places.push(next);
                        next += u32::from(counts != 0);
                    }
                }
                Tensor::from_vec(places, counts.dims(), counts.device())
            }
        }
    }
}

/// The sum of each sequence's token log-probs: packed `[tokens]` → `[sequences]`, as [`Sequences::sums`].
///
/// `sequence_ids[i]` is the sequence (below `sequences`) that token `i` belongs to, in any order; a
/// sequence that no token names sums to 0.
///
/// # Errors
/// If `token_log_probs` is not `[tokens]` of a floating type, or an id is missing or not below `sequences`.
pub fn sequence_log_probs(
    token_log_probs: &Tensor,
    sequence_ids: &[u32],
    sequences: usize,
) -> Result<Tensor> {
    let tokens = token_log_probs.dims1()?;
    if sequence_ids.len() != tokens {
        bail!("expected one sequence id per token [{tokens}], got {}", sequence_ids.len());
    }
    Sequences::packed(sequence_ids, sequences, token_log_probs.device())?.sums(token_log_probs)
}

/// The sum of each row's token log-probs where the mask counts: padded `[batch, seq]` → `[batch]`.
///
/// Both arguments are about the same tokens: shift them first ([`shifted_log_probs`], [`shift_mask`]).
/// What is masked out may be infinite or NaN. Precision as in [`Sequences::sums`].
///
/// # Errors
/// If the shapes are not both `[batch, seq]`, or the log-probs not of a floating type.
pub fn masked_sequence_log_probs(token_log_probs: &Tensor, mask: &Tensor) -> Result<Tensor> {
    Sequences::padded(mask)?.sums(token_log_probs)
}

/// Log-probs of the tokens of padded rows, each read from the logits one position before it:
/// logits `[batch, seq, vocab]` and token ids `[batch, seq]` → `[batch, seq − 1]`.
///
/// Entry t is log π(token t+1 | tokens ≤ t): the first token has none, the last logits are unused.
///
/// # Errors
/// If the shapes do not fit each other, a row has fewer than 2 tokens, or an id is outside the vocabulary.
pub fn shifted_log_probs(logits: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    let (batch, seq, _vocab) = logits.dims3()?;
    if tokens.dims() != [batch, seq] {
        bail!("expected token ids [{batch}, {seq}] for logits {:?}, got {:?}", logits.dims(), tokens.dims());
    }
    if seq < 2 {
        bail!("expected rows of at least 2 tokens (the first has nothing before it), got {seq}");
    }
    label_log_probs(&logits.narrow(1, 0, seq - 1)?, &tokens.narrow(1, 1, seq - 1)?)
}

/// The mask of [`shifted_log_probs`]: `[batch, seq]` over tokens → `[batch, seq − 1]` over predictions.
///
/// # Errors
/// If the mask is not `[batch, seq]` with seq at least 2.
pub fn shift_mask(mask: &Tensor) -> Result<Tensor> {
    let (batch, seq) = mask.dims2()?;
    if seq < 2 {
        bail!("expected a mask of rows of at least 2 tokens, got [{batch}, {seq}]");
    }
    mask.narrow(1, 1, seq - 1)
}
