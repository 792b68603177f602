//! What dropout and noise on embeddings are drawn from.
//!
//! A mask is a function of the pass, of the part of the model and of the place in it, so that it is the same when a part
//! is computed again for its gradient, and in a run that was resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use crate::{Tape, Value};

/// The noise of a training run: which pass is underway, if one is. Cloning shares it.
///
/// Between passes, and always by default, it is silent: nothing is dropped.
#[derive(Clone, Debug, Default)]
pub struct Noise(Option<Arc<AtomicU64>>);

/// No pass is underway.
const SILENT: u64 = u64::MAX;

/// What the masks of one part of a model are drawn from, in one pass.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    key: u64,
    drawn: u64,
}

impl Noise {
    /// Noise that passes can make heard.
    pub fn new() -> Self {
        Self(Some(Arc::new(AtomicU64::new(SILENT))))
    }

    /// Begins the pass with that number. Equal numbers give equal masks.
    pub fn begin(&self, pass: u64) {
        if let Some(number) = &self.0 {
            number.store(pass, Ordering::Relaxed);
        }
    }

    /// Ends the pass.
    pub fn end(&self) {
        self.begin(SILENT);
    }

    /// What the part of that number draws from in this pass; none if the noise is silent.
    pub fn draw(&self, part: usize) -> Option<Draw> {
        let pass = self.0.as_ref()?.load(Ordering::Relaxed);
        if pass == SILENT {
            return None;
        }
        Some(Draw { key: mixed(mixed(pass) ^ part as u64), drawn: 0 })
    }
}

impl Draw {
    /// The same place, drawn from another stream.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { key: mixed(self.key ^ mixed(seed)), ..self }
    }

    /// The next tensor's own key.
    fn next(&mut self) -> u64 {
        self.drawn += 1;
        mixed(self.key ^ self.drawn.rotate_left(32))
    }
}

/// The uniform number in [0, 1) of a place.
fn uniform(key: u64, place: usize) -> f64 {
    (mixed(key ^ place as u64) >> 11) as f64 / (1u64 << 53) as f64
}

impl Tape {
    /// From now on dropout on this tape draws from `draw`; with none it drops nothing.
    pub fn draw_from(&mut self, draw: Option<Draw>) {
        self.draw = draw;
    }

    /// Whether dropout of that probability would drop anything.
    pub(crate) fn drops_out(&self, probability: f64) -> bool {
        probability > 0.0 && self.draw.is_some()
    }

    /// `x` with each element 0 with that probability and divided by the rest of it otherwise (Srivastava et al. 2014); none
    /// if nothing is dropped.
    pub(crate) fn dropout(&mut self, x: &Value, probability: f64) -> Result<Option<Value>> {
        let Some(draw) = self.draw.as_mut().filter(|_| probability > 0.0) else { return Ok(None) };
        let (key, kept) = (draw.next(), 1.0 - probability);
        let element =
            |place: usize| if uniform(key, place) < probability { 0.0 } else { (1.0 / kept) as f32 };
        let shape = x.tensor().shape();
        let mask: Vec<f32> = (0..shape.elem_count()).into_par_iter().map(element).collect();
        let mask = Tensor::from_vec(mask, shape, x.tensor().device())?.to_dtype(x.tensor().dtype())?;
        let value = (x.tensor() * &mask)?;
        Ok(Some(self.push("dropout", [x], [], value, move |grad: &Tensor| Ok([Some((grad * &mask)?)]))))
    }
}

/// Noise on embeddings.
impl Tape {
    /// `x` `[rows, width]` and, on each element of a row, a uniform number between minus and plus the row's magnitude; `x` itself
    /// if the noise is silent.
    ///
    /// # Errors
    /// If there are not as many magnitudes as rows.
    pub fn add_noise(&mut self, x: Value, magnitudes: &[f32]) -> Result<Value> {
        let Some(draw) = self.draw.as_mut() else { return Ok(x) };
        let (rows, width) = x.tensor().dims2()?;
        if magnitudes.len() != rows {
            bail!("add_noise: expected {rows} magnitudes, one a row, got {}", magnitudes.len());
        }
        let key = draw.next();
        let element = |place: usize| magnitudes[place / width] * (2.0 * uniform(key, place) - 1.0) as f32;
        let noise: Vec<f32> = (0..rows * width).into_par_iter().map(element).collect();
        let noise = Tensor::from_vec(noise, (rows, width), x.tensor().device())?;
        let value = (x.tensor() + noise.to_dtype(x.tensor().dtype())?)?;
        Ok(self.push("add_noise", [&x], [], value, |grad: &Tensor| Ok([Some(grad.clone())])))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), by which neighbouring numbers become unlike.
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::{Param, record};

    /// Rows of zeros with noise of these magnitudes, in one pass.
    fn noisy(pass: u64, seed: u64, magnitudes: &[f32]) -> Result<Tensor> {
        let noise = Noise::new();
        noise.begin(pass);
        let x = Tensor::zeros((magnitudes.len(), 500), candle_core::DType::F32, &Device::Cpu)?;
        record("test", [&x], |tape, [x]| {
            tape.draw_from(noise.draw(0).map(|draw| draw.with_seed(seed)));
            tape.add_noise(x, magnitudes)
        })
    }

    #[test]
    fn noise_is_uniform_within_its_magnitude_and_the_same_in_the_same_pass() -> Result<()> {
        let magnitudes = [0.5f32, 2.0];
        let values = noisy(3, 7, &magnitudes)?.to_vec2::<f32>()?;
        for (row, magnitude) in values.iter().zip(magnitudes) {
            let moment = |power: i32| row.iter().map(|x| (x / magnitude).powi(power)).sum::<f32>() / 500.0;
            assert!(row.iter().all(|x| x.abs() <= magnitude));
            // Of a uniform number in ±1: mean 0, variance 1/3, each within four standard errors.
            assert!(moment(1).abs() < 0.104 && (moment(2) - 1.0 / 3.0).abs() < 0.054, "{magnitude}");
        }
        assert_eq!(values, noisy(3, 7, &magnitudes)?.to_vec2::<f32>()?);
        assert_ne!(values, noisy(4, 7, &magnitudes)?.to_vec2::<f32>()?);
        assert_ne!(values, noisy(3, 8, &magnitudes)?.to_vec2::<f32>()?);
        assert!(noisy(3, 7, &[0.0])?.to_vec2::<f32>()?.concat().iter().all(|&x| x == 0.0));
        Ok(())
    }

    #[test]
    fn the_gradient_passes_by_the_noise() -> Result<()> {
        let param = Param::tracked(&Tensor::new(&[[1.0f32, -2.0], [0.5, 3.0]], &Device::Cpu)?)?;
        let noise = Noise::new();
        noise.begin(0);
        let y = record("test", [param.tensor()], |tape, [x]| {
            tape.draw_from(noise.draw(0));
            tape.add_noise(x, &[0.1, 0.2])
        })?;
        let factors = Tensor::new(&[[1.0f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
        let grads = (&y * &factors)?.sum_all()?.backward()?;
        assert_eq!(grads.get(param.tensor()).unwrap().to_vec2::<f32>()?, factors.to_vec2::<f32>()?);
        let message = record("test", [&y], |tape, [x]| {
            tape.draw_from(noise.draw(0));
            tape.add_noise(x, &[0.1])
        });
        assert!(message.unwrap_err().to_string().contains("expected 2 magnitudes"));
        Ok(())
    }
}
