//! What is asked of the gradients of a step: were all written, are they finite, how long are they.

use align_kernels::{Param, Params};
use candle_core::{CpuStorage, DType, Storage, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use crate::{Error, Ranks, Result};

/// Values that are sent at once: 16 MB. More would save nothing, and double the memory of the gradients.
const BUCKET: usize = 4 << 20;

/// Makes every gradient the sum over all ranks. One that was not written counts as zero: a rank without a micro-batch has none.
pub(crate) fn sum_over(params: &Params, ranks: &Ranks) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let mut bucket: Vec<(&Param, usize)> = Vec::new();
    let mut values: Vec<f32> = Vec::new();
    for (_, param) in params.iter() {
        let count = param.tensor().elem_count();
        if !bucket.is_empty() && values.len() + count > BUCKET {
            sum_bucket(&mut bucket, &mut values, ranks)?;
        }
        match gradient(param) {
            Some(grad) => values.extend(grad.flatten_all()?.to_vec1::<f32>()?),
            None => values.resize(values.len() + count, 0.0),
        }
        bucket.push((param, count));
    }
    sum_bucket(&mut bucket, &mut values, ranks)
}

fn sum_bucket(bucket: &mut Vec<(&Param, usize)>, values: &mut Vec<f32>, ranks: &Ranks) -> Result<()> {
    ranks.sum(values)?;
    let mut start = 0;
    for (param, count) in bucket.drain(..) {
        let sum = Tensor::from_slice(&values[start..start + count], param.tensor().shape(), param.device())?;
        start += count;
        if let Some(buffer) = param.grad_buffer() {
            buffer.clear();
            buffer.accumulate(&sum)?;
        }
    }
    values.clear();
    Ok(())
}

/// The L2 norm over all gradients. Summed in f64, each parameter on one thread, and in name order, so that it
/// is the same in every run. Not finite if any gradient is not.
pub(crate) fn global_norm(params: &Params) -> Result<f64> {
    let grads: Vec<_> = params.iter().filter_map(|(_, param)| gradient(param)).collect();
    let (on_cpu, elsewhere): (Vec<_>, Vec<_>) = grads.into_iter().partition(|grad| grad.device().is_cpu());
    let on_cpu: Vec<_> = on_cpu
        .par_iter()
        .with_max_len(1)
        .map(|grad| Ok((cpu_sum_of_squares(grad)?, grad)))
        .collect::<Result<_>>()?;
    let mut sums = Vec::new();
    let mut on_device = Vec::new();
    for (sum, grad) in on_cpu.into_iter().chain(elsewhere.iter().map(|grad| (None, grad))) {
        match sum {
            Some(sum) => sums.push(sum),
            None => on_device.push(grad.sqr()?.sum_all()?.to_dtype(DType::F32)?),
        }
    }
    if !on_device.is_empty() {
        // One read for all parameters: each would wait for the device.
        let read = Tensor::stack(&on_device, 0)?.to_vec1::<f32>()?;
        sums.extend(read.into_iter().map(f64::from));
    }
    Ok(sums.into_iter().sum::<f64>().sqrt())
}

/// Fails unless the first backward pass has written a gradient for every parameter. A cut graph shows
/// nowhere else: the loss falls a little and the parameters behind the cut never move.
pub(crate) fn check_coverage(params: &Params) -> Result<()> {
    let missing: Vec<_> = names(params, |param| gradient(param).is_none());
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Coverage { count: missing.len(), total: params.len(), names: shortened(&missing) })
}

/// The parameters whose gradient is not finite, as text; none if all are.
pub(crate) fn not_finite(params: &Params) -> Result<Option<String>> {
    let mut bad = Vec::new();
    for (name, param) in params.iter() {
        let Some(grad) = gradient(param) else { continue };
        let sum = match cpu_sum_of_squares(&grad)? {
            Some(sum) => sum,
            None => f64::from(grad.sqr()?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?),
        };
        if !sum.is_finite() {
            bad.push(name.to_owned());
        }
    }
    Ok((!bad.is_empty()).then(|| shortened(&bad)))
}

fn gradient(param: &Param) -> Option<Tensor> {
    param.grad_buffer().and_then(|buffer| buffer.get())
}

fn names(params: &Params, wanted: impl Fn(&Param) -> bool) -> Vec<String> {
    params.iter().filter(|(_, param)| wanted(param)).map(|(name, _)| name.to_owned()).collect()
}

/// None if the tensor is not f32 on the CPU.
fn cpu_sum_of_squares(grad: &Tensor) -> Result<Option<f64>> {
    let grad = grad.contiguous()?;
    let (storage, layout) = grad.storage_and_layout();
    let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
        (&*storage, layout.contiguous_offsets())
    else {
        return Ok(None);
    };
    Ok(Some(Arch::new().dispatch(|| sum_of_squares(&values[start..end]))))
}

/// Eight independent sums, which the processor adds side by side.
#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f64 {
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let mut lanes = [0f64; 8];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x) * f64::from(x);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
