//! PiSSA: adapters that start from the largest part of a weight (Meng et al. 2024, arXiv:2404.02948).
//!
//! The paper takes that part off the weight. Here the weight stays, and an offset takes it off: so weights in blocks of few
//! bits stay what they are, the model with its adapter off is its base, and what is saved fits that base.

use std::collections::BTreeMap;

use align_kernels::{Numbers, Param, Params, Weight, linear};
use candle_core::{Device, Tensor};
use nalgebra::DMatrix;
use rand_chacha::ChaCha8Rng;

use super::{b, offset_b};
use crate::initialise::normal;
use crate::plan::LinearPlan;
use crate::{DecoderConfig, Result};

/// Vectors beside those that are looked for, for which the search is the quicker.
const MORE: usize = 8;
/// The search ends when no singular value has moved by more than this share of the largest.
const SETTLED: f64 = 1e-5;
/// Or after so many steps, where neighbours of the last one are as large as it.
const STEPS: usize = 32;

/// Puts A, B and what takes them off into the tensors of a new adapter.
///
/// # Errors
/// If a weight is missing.
pub(super) fn add(
    decoder: &DecoderConfig,
    base: &Params,
    rng: &mut ChaCha8Rng,
    device: &Device,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    let adapted: Vec<&LinearPlan> = decoder.linears().filter(|linear| linear.adapter.is_some()).collect();
    for parts in adapted.chunk_by(|one, next| one.module() == next.module()) {
        let Some(plan) = &parts[0].adapter else { continue };
        let rows =
            parts.iter().map(|part| numbers(&base.weight(&part.weight())?)).collect::<Result<Vec<_>>>()?;
        let (a, whole) = principal(&Tensor::cat(&rows, 0)?, plan.rank, rng)?;
        let split = (1.0 / plan.scale.abs()).sqrt();
        // A negative scale turns one of the two round.
        let (a, whole) =
            ((a * split)?.to_device(device)?, (whole * split.copysign(plan.scale))?.to_device(device)?);
        let mut first = 0;
        for part in parts {
            let own = whole.narrow(0, first, part.outputs)?.contiguous()?;
            tensors.insert(offset_b(&part.name), own.neg()?);
            tensors.insert(b(&part.name), own);
            first += part.outputs;
        }
        tensors.insert(plan.offset_a(), a.clone());
        tensors.insert(plan.a(), a);
    }
    Ok(())
}

/// A weight as numbers in main memory.
fn numbers(weight: &Weight) -> Result<Tensor> {
    Ok(match weight.numbers() {
        Numbers::Dense(param) => param.tensor().detach().to_device(&Device::Cpu)?.contiguous()?,
        Numbers::Blocks(blocks) => blocks.dense(&Device::Cpu)?,
    })
}

/// The largest singular values of `weight` `[outputs, inputs]` with their vectors: A `[rank, inputs]` and B
/// `[outputs, rank]`, each with the roots of the values.
///
/// By subspace iteration from a random start (Halko et al. 2011, arXiv:0909.4061, algorithm 4.4), until the values have
/// settled. As exact as f32 where they stand apart; of values that lie close together any mixture of their vectors is as good.
fn principal(weight: &Tensor, rank: usize, rng: &mut ChaCha8Rng) -> Result<(Tensor, Tensor)> {
    let (outputs, inputs) = weight.dims2()?;
    let width = (2 * rank + MORE).min(outputs).min(inputs);
    let (weight, turned) = (Param::frozen(weight), Param::frozen(&weight.t()?.contiguous()?));
    let drawn: Vec<f64> = (0..width * inputs).map(|_| normal(rng)).collect();
    let mut right = DMatrix::from_vec(inputs, width, drawn).qr().q();
    let mut before = Vec::new();
    let mut step = 0;
    loop {
        // W V = U S Xᵀ, so that W ≈ U S (V X)ᵀ.
        let image = matrix(&linear(&tensor(&right)?, &weight, None)?)?;
        let svd = image.svd(true, true);
        let (Some(left), Some(turn)) = (svd.u, svd.v_t) else { unreachable!("both were asked for") };
        let values: Vec<f64> = svd.singular_values.iter().copied().collect();
        let moved = |(now, before): (&f64, &f64)| (now - before).abs() > SETTLED * values[0];
        step += 1;
        if step == STEPS || (step > 1 && !values[..rank].iter().zip(&before).any(moved)) {
            let roots: Vec<f64> = values[..rank].iter().map(|value| value.sqrt()).collect();
            let scaled = |vectors: DMatrix<f64>| {
                let mut vectors = vectors.columns(0, rank).into_owned();
                vectors.column_iter_mut().zip(&roots).for_each(|(mut column, root)| column *= *root);
                vectors
            };
            let (a, b) = (scaled(right * turn.transpose()), scaled(left));
            return Ok((tensor(&a)?, tensor(&b)?.t()?.contiguous()?));
        }
        before = values;
        right = matrix(&linear(&tensor(&left)?, &turned, None)?)?.qr().q();
    }
}

/// The columns as the rows of a tensor.
fn tensor(columns: &DMatrix<f64>) -> Result<Tensor> {
    let values = columns.iter().map(|value| *value as f32).collect();
    Ok(Tensor::from_vec(values, (columns.ncols(), columns.nrows()), &Device::Cpu)?)
}

/// The rows of a tensor as columns.
fn matrix(rows: &Tensor) -> Result<DMatrix<f64>> {
    let (columns, len) = rows.dims2()?;
    let values = rows.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
    Ok(DMatrix::from_vec(len, columns, values))
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// A matrix of known singular values 8, 4, 2, 1, …
    fn known(outputs: usize, inputs: usize, rng: &mut ChaCha8Rng) -> (Tensor, Vec<f64>) {
        let count = outputs.min(inputs);
        let mut basis = |rows: usize| {
            let drawn = (0..rows * count).map(|_| normal(rng)).collect();
            DMatrix::from_vec(rows, count, drawn).qr().q()
        };
        let (left, right) = (basis(outputs), basis(inputs));
        let values: Vec<f64> = (0..count).map(|i| 8.0 * 0.5f64.powi(i as i32)).collect();
        let whole = left * DMatrix::from_diagonal(&values.clone().into()) * right.transpose();
        (tensor(&whole.transpose()).unwrap(), values)
    }

    #[test]
    fn what_is_left_is_what_no_nearer_product_could_take() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (outputs, inputs, rank) in [(40, 60, 4), (60, 40, 8), (7, 5, 5), (64, 64, 1)] {
            let (weight, values) = known(outputs, inputs, &mut rng);
            let (a, b) = principal(&weight, rank, &mut rng).unwrap();
            assert_eq!((a.dims(), b.dims()), (&[rank, inputs][..], &[outputs, rank][..]));
            let rest = (&weight - b.matmul(&a).unwrap()).unwrap().sqr().unwrap().sum_all().unwrap();
            let found = f64::from(rest.to_scalar::<f32>().unwrap()).sqrt();
            // Eckart and Young 1936: the root of the squares of the values that are left.
            let least = values[rank..].iter().map(|value| value * value).sum::<f64>().sqrt();
            assert!((found - least).abs() < 1e-4, "{found} is not {least}");
            // Both carry the roots of the values.
            let square =
                |t: Tensor| f64::from(t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap());
            let sum: f64 = values[..rank].iter().sum();
            assert!((square(a) - sum).abs() < 1e-3 && (square(b) - sum).abs() < 1e-3);
        }
    }
}
