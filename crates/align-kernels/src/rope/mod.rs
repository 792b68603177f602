//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the rotate-half layout of Hugging
//! Face checkpoints.

mod composed;
mod cpu;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::{Tape, Value, record};

/// Cosines and sines of a stream of positions, made once per batch and shared by all layers that turn alike.
#[derive(Clone, Debug)]
pub struct Rope {
    cos: Tensor, // [tokens, 1, half], half at most head_dim / 2
    sin: Tensor,
}

impl Rope {
    /// The rotation of `positions` by the angles `position · inverse_frequencies`, both scaled by
    /// `attention_scaling` (1 for all but YaRN-like scalings). Fewer frequencies than `head_dim / 2` rotate the first
    /// elements of a head and leave the rest.
    ///
    /// Angles are computed in f32 as transformers does.
    pub fn new(
        positions: &[u32],
        inverse_frequencies: &[f32],
        attention_scaling: f32,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let rows = positions.iter().map(|&position| (position, inverse_frequencies));
        Self::of_rows(rows, inverse_frequencies.len(), attention_scaling, dtype, device)
    }

    /// [`Rope::new`] where each row has its position and its `half` frequencies: scalings that depend on how long the
    /// sequence is.
    pub fn of_rows<'a>(
        rows: impl Iterator<Item = (u32, &'a [f32])>,
        half: usize,
        attention_scaling: f32,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let angles = rows.flat_map(|(position, row)| row.iter().map(move |f| position as f32 * f));
        let (cos, sin): (Vec<f32>, Vec<f32>) =
            angles.map(|a| (a.cos() * attention_scaling, a.sin() * attention_scaling)).unzip();
        let table = |values: Vec<f32>| {
            let rows = values.len() / half.max(1);
            Tensor::from_vec(values, (rows, 1, half), device)?.to_dtype(dtype)
        };
        Ok(Self { cos: table(cos)?, sin: table(sin)? })
    }
}

impl Tape {
    /// Rotates each head of `x` `[tokens, heads, head_dim]` to its position. The backward pass is the
    /// rotation by the opposite angles.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn rope(&mut self, x: &Value, rotation: &Rope) -> Result<Value> {
        let input = x.tensor();
        check(input, rotation)?;
        let rotation = rotation.clone();
        if Self::on_cpu(&[input, &rotation.cos, &rotation.sin]) {
            let y = cpu::rotate(input, &rotation, 1.0)?;
            let back = move |grad: &Tensor| Ok([Some(cpu::rotate(grad, &rotation, -1.0)?)]);
            Ok(self.push("rope", [x], [], y, back))
        } else {
            let y = composed::rotate(input, &rotation)?;
            let inverse = Rope { cos: rotation.cos, sin: rotation.sin.neg()? };
            Ok(self
                .push("rope", [x], [], y, move |grad: &Tensor| Ok([Some(composed::rotate(grad, &inverse)?)])))
        }
    }
}

/// [`Tape::rope`] by itself.
///
/// # Errors
/// If the shapes do not fit.
pub fn rope(x: &Tensor, rotation: &Rope) -> Result<Tensor> {
    record("rope", [x], |tape, [x]| tape.rope(&x, rotation))
}

fn check(x: &Tensor, rotation: &Rope) -> Result<()> {
    let (tokens, _, head_dim) = x.dims3()?;
    let (found, half) = (rotation.cos.dims(), rotation.cos.dim(2)?);
    if found != [tokens, 1, half] || 2 * half > head_dim {
        bail!(
            "rope: expected a rotation [{tokens}, 1, {} or less] for {:?}, got {found:?}",
            head_dim / 2,
            x.shape()
        );
    }
    Ok(())
}
