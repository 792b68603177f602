//! Which forms of the ops the tests run on this CPU, and that those of [`simd!`](super::simd) give the same bits.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Result, Tensor};

use crate::{Param, Rope, Segment, attention, linear_log_probs_with_stats, rms_norm, rope, softmax, swiglu};

/// Other tests that run meanwhile get the portable form too: they cannot tell.
static PORTABLE: AtomicBool = AtomicBool::new(false);

pub(super) fn portable_is_wanted() -> bool {
    PORTABLE.load(Ordering::Relaxed)
}

/// Says which form of an op a test ran, and which it did not: a form that never runs is not tested.
#[expect(clippy::print_stdout, reason = "a test reports what it ran")]
pub(super) fn ran(op: &str, form: &str, here: bool) {
    println!("{op}: {form} {}", if here { "ran" } else { "did not run: this CPU does not have it" });
}

fn values(shape: &[usize], seed: usize) -> Result<Tensor> {
    let entry = |i: usize| ((i + 1) * 7919 % (10_007 + seed)) as f32 / 2501.5 - 2.0;
    Tensor::from_vec((0..shape.iter().product()).map(entry).collect(), shape, &Device::Cpu)
}

/// The bits of values and gradients of every op that has loops of its own.
fn outcome() -> Result<Vec<u32>> {
    let [x, up, norm] = [values(&[70, 33], 0)?, values(&[70, 33], 6)?, values(&[33], 2)?];
    let (x, up, norm) = (Param::tracked(&x)?, Param::tracked(&up)?, Param::tracked(&norm)?);
    let head = Param::tracked(&values(&[2500, 33], 1)?)?;
    let labels = Tensor::from_iter((0..70u32).map(|i| i * 31), &Device::Cpu)?;
    let hidden = swiglu(&rms_norm(x.tensor(), &norm, 1e-5)?, up.tensor())?;
    let (log_probs, stats) = linear_log_probs_with_stats(&hidden, &head, &labels)?;

    let q = Param::tracked(&values(&[70, 4, 18], 3)?)?;
    let k = Param::tracked(&values(&[70, 2, 18], 4)?)?;
    let positions: Vec<u32> = (0..70).collect();
    let rotation = Rope::new(&positions, &[1.0; 9], 1.0, DType::F32, &Device::Cpu)?;
    let rows = |range: std::ops::Range<usize>| Segment { queries: range.clone(), keys: vec![range] };
    let segments = [rows(0..60), rows(60..69), rows(69..70)];
    let keys = rope(k.tensor(), &rotation)?;
    let mixed = attention(&rope(q.tensor(), &rotation)?, &keys, &keys, &segments, 0.3, Some(40))?;

    let loss = (log_probs.sum_all()? + (&mixed * &mixed)?.sum_all()?)?;
    let grads = loss.backward()?;
    let mut all = vec![log_probs, stats.entropy, stats.correct, stats.log_sum_sq_probs, mixed];
    all.extend([&x, &up, &q, &k].map(|param| grads.get(param.tensor()).expect("a gradient").clone()));
    all.extend(
        [&norm, &head].map(|param| param.grad_buffer().and_then(|sum| sum.get()).expect("a gradient")),
    );

    let mut bits = Vec::new();
    for tensor in all {
        bits.extend(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits));
    }
    let logits = values(&[1001], 5)?.to_vec1::<f32>()?;
    let total = softmax::sum_of_exp(&logits, softmax::largest(&logits), 0.7);
    bits.extend([(total.to_bits() >> 32) as u32, total.to_bits() as u32]);
    Ok(bits)
}

#[test]
fn loops_for_avx2_give_the_bits_of_those_for_any_cpu() -> Result<()> {
    let here = super::has_avx2();
    ran("loops", "AVX2", here);
    let vectorised = outcome()?;
    PORTABLE.store(true, Ordering::Relaxed);
    let portable = outcome();
    PORTABLE.store(false, Ordering::Relaxed);
    assert!(vectorised.len() > 80_000 && vectorised == portable?, "the two forms differ");
    Ok(())
}
