//! What dropout is drawn from.
//!
//! A mask is a function of the pass, of the part of the model and of the place in it, so that it is the same when a part
//! is computed again for its gradient, and in a run that was resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Result, Tensor};
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
        draw.drawn += 1;
        let (key, kept) = (mixed(draw.key ^ draw.drawn.rotate_left(32)), 1.0 - probability);
        let element = |place: usize| {
            let uniform = (mixed(key ^ place as u64) >> 11) as f64 / (1u64 << 53) as f64;
            if uniform < probability { 0.0 } else { (1.0 / kept) as f32 }
        };
        let shape = x.tensor().shape();
        let mask: Vec<f32> = (0..shape.elem_count()).into_par_iter().map(element).collect();
        let mask = Tensor::from_vec(mask, shape, x.tensor().device())?.to_dtype(x.tensor().dtype())?;
        let value = (x.tensor() * &mask)?;
        Ok(Some(self.push("dropout", [x], [], value, move |grad: &Tensor| Ok([Some((grad * &mask)?)]))))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), by which neighbouring numbers become unlike.
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
