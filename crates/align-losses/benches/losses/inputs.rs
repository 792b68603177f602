//! Numbers that look random and that other code can make again: a hash of their place.

use candle_core::{DType, Device, Result, Shape, Tensor, Var};

/// The batch.
pub(crate) const ROWS: usize = 64;
/// Tokens of a row, its padding included.
pub(crate) const SEQ: usize = 128;
pub(crate) const VOCAB: usize = 512;

/// Uniform numbers in [low, high); each `stream` has its own.
pub(crate) fn uniform(stream: u32, shape: impl Into<Shape>, low: f64, high: f64) -> Result<Tensor> {
    let shape = shape.into();
    let values = (0u32..).take(shape.elem_count()).map(|place| {
        let unit = f64::from(hash(place.wrapping_add(stream.wrapping_mul(0x9E37_79B9)))) / 2f64.powi(32);
        (low + (high - low) * unit) as f32
    });
    Tensor::from_iter(values, &Device::Cpu)?.reshape(shape)
}

pub(crate) fn variable(stream: u32, shape: impl Into<Shape>, low: f64, high: f64) -> Result<Var> {
    Var::from_tensor(&uniform(stream, shape, low, high)?)
}

/// Whole numbers in [low, high).
pub(crate) fn whole(stream: u32, shape: impl Into<Shape>, low: f64, high: f64) -> Result<Tensor> {
    uniform(stream, shape, low, high)?.floor()
}

/// u8 `[ROWS, SEQ]`: 1 on the first tokens of each row, between half of them and all.
pub(crate) fn mask() -> Result<Tensor> {
    let lengths = whole(20, ROWS, SEQ as f64 / 2.0, SEQ as f64 + 1.0)?;
    let places = Tensor::arange(0u32, SEQ as u32, &Device::Cpu)?.to_dtype(DType::F32)?;
    places.unsqueeze(0)?.broadcast_lt(&lengths.unsqueeze(1)?)
}

/// The finaliser of MurmurHash3.
fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}
