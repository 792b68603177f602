//! What is asked of the gradients of a step: were all written, are they finite, how long are they.

use std::ops::Range;

use align_kernels::{Param, Params};
use candle_core::{CpuStorage, DType, Storage, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use crate::{Error, Result};

/// The L2 norm over all gradients. Summed in f64, each parameter on one thread, share by share, and in name order, so that it
/// is the same in every run, and the same whichever ranks have the shares. Not finite if any gradient is not.
pub(crate) fn global_norm(
    params: &Params,
    shares: impl Fn(usize) -> Vec<Range<usize>> + Sync,
) -> Result<f64> {
    let grads = params.iter().enumerate().filter_map(|(number, (_, param))| Some((number, of(param)?)));
    let (on_cpu, elsewhere): (Vec<_>, Vec<_>) = grads.partition(|(_, grad)| grad.device().is_cpu());
    let on_cpu: Vec<_> = on_cpu
        .par_iter()
        .with_max_len(1)
        .map(|(number, grad)| Ok((cpu_sum_of_squares(grad, &shares(*number))?, grad)))
        .collect::<Result<_>>()?;
    let mut sums = Vec::new();
    let mut on_device = Vec::new();
    for (sum, grad) in on_cpu.into_iter().chain(elsewhere.iter().map(|(_, grad)| (None, grad))) {
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
    let written: Vec<bool> = params.iter().map(|(_, param)| of(param).is_some()).collect();
    check_written(params, |number| written[number])
}

/// The same by the numbers of the parameters that were written to.
pub(crate) fn check_written(params: &Params, written: impl Fn(usize) -> bool) -> Result<()> {
    let missing = params.iter().enumerate().filter(|(number, _)| !written(*number));
    let missing: Vec<_> = missing.map(|(_, (name, _))| name.to_owned()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Coverage { count: missing.len(), total: params.len(), names: shortened(&missing) })
}

/// The parameters whose gradient is not finite, as text; none if all are.
pub(crate) fn not_finite(params: &Params) -> Result<Option<String>> {
    let mut bad = Vec::new();
    for (name, param) in params.iter() {
        let Some(grad) = of(param) else { continue };
        let sum = match cpu_sum_of_squares(&grad, std::slice::from_ref(&(0..grad.elem_count())))? {
            Some(sum) => sum,
            None => f64::from(grad.sqr()?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?),
        };
        if !sum.is_finite() {
            bad.push(name.to_owned());
        }
    }
    Ok((!bad.is_empty()).then(|| shortened(&bad)))
}

/// The gradient of a parameter, if there is one.
pub(crate) fn of(param: &Param) -> Option<Tensor> {
    param.grad_buffer().and_then(|buffer| buffer.get())
}

/// The sum of squares.
pub(crate) fn squares(values: &[f32]) -> f64 {
    Arch::new().dispatch(|| sum_of_squares(values))
}

/// Share by share. None if the tensor is not f32 on the CPU.
fn cpu_sum_of_squares(grad: &Tensor, shares: &[Range<usize>]) -> Result<Option<f64>> {
    let grad = grad.contiguous()?;
    let (storage, layout) = grad.storage_and_layout();
    let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
        (&*storage, layout.contiguous_offsets())
    else {
        return Ok(None);
    };
    let values = &values[start..end];
    Ok(Some(shares.iter().map(|share| squares(&values[share.clone()])).sum()))
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
