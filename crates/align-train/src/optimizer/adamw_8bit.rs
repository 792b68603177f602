//! AdamW with moments of 8 bits (Dettmers et al. 2022, arXiv:2110.02861), to the bit as bitsandbytes 0.50 computes it on the
//! CPU: moments are read from their codes, updated in f32 and quantised again, block by block. (Its square roots are those of
//! torch, which on x86 come from a library that does not always round them as IEEE 754 says; moments do not depend on them.)
//!
//! A moment's code is one of 256 numbers of a map (signed for the first, unsigned for the second), times the largest value of
//! its block of 256. It is looked up in a table of 65,536 places over [−1, 1], as bitsandbytes does; so the smallest number
//! that a code stands for is about 1.5e-5 of the block's largest, and a second moment beside a larger one is never read as 0.

use std::sync::LazyLock;

use candle_core::DType;
use rayon::prelude::*;

use super::Adam;
use super::buffer::Spec;
use super::in_place::{BLOCK, Elementwise, in_blocks};
use super::rule::Step;

/// Parameters with fewer elements keep f32 moments.
pub(super) const LEAST: usize = 4096;
/// Elements that share a largest value.
const QUANTISED: usize = 256;

/// Two moments: their codes, and the largest value of each block.
pub(super) fn buffers(dims: &[usize]) -> Vec<Spec> {
    let blocks = dims.iter().product::<usize>().div_ceil(QUANTISED);
    let codes = |name| Spec { name, shape: dims.to_vec(), dtype: DType::U8 };
    let absmax = |name| Spec { name, shape: vec![blocks], dtype: DType::F32 };
    vec![
        codes("exp_avg_codes"),
        absmax("exp_avg_absmax"),
        codes("exp_avg_sq_codes"),
        absmax("exp_avg_sq_absmax"),
    ]
}

type Moment<'a> = (&'a mut [u8], &'a mut [f32]);

pub(super) fn step(p: &mut [f32], g: &[f32], [m, v]: [Moment<'_>; 2], adam: Adam, step: Step) {
    let (correction1, correction2_sqrt) = adam.corrections(step);
    let block = Adam8bitBlock {
        moments: Moments::new(adam, step),
        correction2_sqrt: correction2_sqrt as f32,
        epsilon: adam.epsilon as f32,
        decay: step.decay() as f32,
        minus_step: (-step.learning_rate / correction1) as f32,
        signed: &SIGNED,
        unsigned: &UNSIGNED,
    };
    in_blocks(p, g, cut(m).zip(cut(v)), &block);
}

fn cut<'a>((codes, absmax): Moment<'a>) -> impl IndexedParallelIterator<Item = Moment<'a>> {
    codes.par_chunks_mut(BLOCK).zip(absmax.par_chunks_mut(BLOCK / QUANTISED))
}

/// As [`step`] for parameters below [`LEAST`], whose moments are f32. bitsandbytes orders the same formula differently here.
pub(super) fn step_32bit(p: &mut [f32], g: &[f32], [m, v]: [&mut [f32]; 2], adam: Adam, step: Step) {
    let (correction1, correction2_sqrt) = adam.corrections(step);
    let block = Adam32bitBlock {
        moments: Moments::new(adam, step),
        epsilon: (adam.epsilon * correction2_sqrt) as f32,
        decay: step.decay() as f32,
        minus_step: (-step.learning_rate * correction2_sqrt / correction1) as f32,
    };
    in_blocks(p, g, (m.par_chunks_mut(BLOCK), v.par_chunks_mut(BLOCK)).into_par_iter(), &block);
}

/// How the moments move.
struct Moments {
    grad_scale: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
}

impl Moments {
    fn new(adam: Adam, step: Step) -> Self {
        Self {
            grad_scale: step.grad_scale as f32,
            beta1: adam.beta1 as f32,
            one_minus_beta1: (1.0 - adam.beta1) as f32,
            beta2: adam.beta2 as f32,
            one_minus_beta2: (1.0 - adam.beta2) as f32,
        }
    }

    #[inline(always)]
    fn next(&self, g: f32, m: f32, v: f32) -> (f32, f32) {
        let g = g * self.grad_scale;
        let m = g.mul_add(self.one_minus_beta1, m * self.beta1);
        (m, (self.one_minus_beta2 * g).mul_add(g, v * self.beta2))
    }
}

struct Adam32bitBlock {
    moments: Moments,
    epsilon: f32,
    decay: f32,
    minus_step: f32,
}

impl<'a> Elementwise<(&'a mut [f32], &'a mut [f32])> for Adam32bitBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], g: &[f32], (m, v): (&'a mut [f32], &'a mut [f32])) {
        for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
            (*m, *v) = self.moments.next(g, *m, *v);
            let update = *m / (v.sqrt() + self.epsilon);
            *p = update.mul_add(self.minus_step, *p * self.decay);
        }
    }
}

struct Adam8bitBlock {
    moments: Moments,
    correction2_sqrt: f32,
    epsilon: f32,
    decay: f32,
    minus_step: f32,
    signed: &'static Code,
    unsigned: &'static Code,
}

impl<'a> Elementwise<(Moment<'a>, Moment<'a>)> for Adam8bitBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], g: &[f32], (first, second): (Moment<'a>, Moment<'a>)) {
        let first = first.0.chunks_mut(QUANTISED).zip(first.1);
        let second = second.0.chunks_mut(QUANTISED).zip(second.1);
        let values = p.chunks_mut(QUANTISED).zip(g.chunks(QUANTISED));
        for ((p, g), ((m_codes, m_absmax), (v_codes, v_absmax))) in values.zip(first.zip(second)) {
            let (mut m, mut v) = ([0f32; QUANTISED], [0f32; QUANTISED]);
            let (m, v) = (&mut m[..p.len()], &mut v[..p.len()]);
            self.signed.dequantise(m_codes, *m_absmax, m);
            self.unsigned.dequantise(v_codes, *v_absmax, v);
            for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(&mut *v)) {
                (*m, *v) = self.moments.next(g, *m, *v);
                let denominator = v.sqrt() / self.correction2_sqrt + self.epsilon;
                *p = *p * self.decay + self.minus_step * *m / denominator;
            }
            *m_absmax = self.signed.quantise(m, m_codes);
            *v_absmax = self.unsigned.quantise(v, v_codes);
        }
    }
}

static SIGNED: LazyLock<Code> = LazyLock::new(|| Code::new(align_kernels::dynamic_map()));
static UNSIGNED: LazyLock<Code> = LazyLock::new(|| Code::new(align_kernels::unsigned_dynamic_map()));

/// A map of 256 numbers in order, and the nearest one to each place of a table over [−1, 1].
struct Code {
    map: [f32; 256],
    nearest: Vec<u8>,
}

impl Code {
    const PLACES: usize = 1 << 16;
    const LAST: f32 = (Self::PLACES - 1) as f32;

    fn new(map: [f32; 256]) -> Self {
        let mut code = 0;
        let nearest = |place: usize| {
            let number = place as f32;
            let value = (number + number) / Self::LAST - 1.0;
            while code < 255 && value > (map[code] + map[code + 1]) * 0.5 {
                code += 1;
            }
            code as u8
        };
        Self { nearest: (0..Self::PLACES).map(nearest).collect(), map }
    }

    #[inline(always)]
    fn dequantise(&self, codes: &[u8], absmax: f32, values: &mut [f32]) {
        for (value, &code) in values.iter_mut().zip(codes) {
            *value = self.map[usize::from(code)] * absmax;
        }
    }

    /// Writes the codes and returns the largest value. A block of zeros has codes 0, which the largest value 0 makes zeros.
    #[inline(always)]
    fn quantise(&self, values: &[f32], codes: &mut [u8]) -> f32 {
        let absmax = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        if absmax == 0.0 {
            codes.fill(0);
            return absmax;
        }
        let inverse = 1.0 / absmax;
        for (code, &value) in codes.iter_mut().zip(values) {
            let scaled = (value * inverse).clamp(-1.0, 1.0);
            let place = ((scaled + 1.0) * 0.5).mul_add(Self::LAST, 0.5);
            *code = self.nearest[place as usize % Self::PLACES];
        }
        absmax
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantised_moment_is_near_what_it_was_and_keeps_its_largest_value() {
        let values: Vec<f32> = (0..QUANTISED).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 37.0).collect();
        let (mut codes, mut back) = ([0; QUANTISED], [0.0; QUANTISED]);
        let absmax = SIGNED.quantise(&values, &mut codes);
        SIGNED.dequantise(&codes, absmax, &mut back);
        let largest = values.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        assert_eq!(absmax, largest.abs());
        for (value, back) in values.iter().zip(back) {
            // A code has at least 6 bits of fraction above a tenth of the largest value.
            assert!((value - back).abs() <= 0.008 * absmax, "{value} became {back}");
        }
        let mut again = [0; QUANTISED];
        SIGNED.quantise(&back, &mut again);
        assert!(SIGNED.quantise(&[0.0; 3], &mut again[..3]) == 0.0 && again[..3] == [0; 3]);
    }

    #[test]
    fn no_second_moment_is_read_as_zero_beside_a_larger_one() {
        let mut codes = [0; 2];
        let absmax = UNSIGNED.quantise(&[0.0, 3.0], &mut codes);
        let mut back = [0.0; 2];
        UNSIGNED.dequantise(&codes, absmax, &mut back);
        assert!(back[0] > 0.0 && back[0] < 1e-4, "{back:?}");
    }
}
