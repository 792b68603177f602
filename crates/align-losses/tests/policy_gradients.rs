//! Gradients of the policy-gradient losses against finite differences: on both sides of every clip edge, for both
//! signs of advantage and none, under masks; and by hand where a factor is held constant.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "policy/table.rs"]
#[expect(dead_code, reason = "shared with the tests of laws")]
mod table;

use align_losses::{
    Clip, Sequences, abs_kl, bias_corrected_k3, cispo, clipped_surrogate, clipped_value_loss,
    dual_clip_surrogate, exact_kl, k1, k2, k3, kept_mean, ppo_clip, sapo, seq_mean_token_mean,
    seq_mean_token_sum, seq_mean_token_sum_norm, sequence_log_ratios, sequence_token_log_ratios, token_mean,
    two_sided_surrogate, vespo,
};
use align_testkit::assert_gradients;
use candle_core::{DType, Device, Result, Tensor, Var};
use table::{Batch, CAP, CLIP, LOSSES, Row, SHAPES, TEMPERATURES, kl, packed, padded, tensor, values};

/// Of five-point differences in f64.
const TOLERANCE: f64 = 1e-7;

/// Log-ratios at 1, on both sides of every bound in the table, and saturated (a ratio of e^200 counts only where
/// it is clipped, or it would drown the rest in the comparison). No bound is nearer than a difference reaches.
fn edges(advantage: f64) -> Vec<Row> {
    let bounds = [1.0 - CLIP.low, 1.0, 1.0 + CLIP.high, CAP, 1.1, 1.0 / CLIP.low.exp(), CLIP.high.exp()];
    let mut log_ratios: Vec<f64> =
        bounds.iter().flat_map(|bound: &f64| [bound.ln() - 2e-3, bound.ln() + 2e-3]).collect();
    log_ratios.extend([0.0, 1e-9, -0.05, 0.7, -4.0, -60.0, -200.0]);
    if advantage >= 0.0 {
        log_ratios.push(200.0);
    }
    // One token each: the sequence's ratio is the token's.
    let one =
        |(i, ratio): (usize, &f64)| Row { tokens: vec![(-1.0 - 0.1 * i as f64, *ratio, 0.3)], advantage };
    log_ratios.iter().enumerate().map(one).collect()
}

/// Sequences of several tokens, one without any.
fn ragged() -> Vec<Row> {
    let row = |ratios: &[f64], advantage| Row {
        tokens: ratios.iter().enumerate().map(|(i, &ratio)| (-0.5 - i as f64, ratio, ratio - 0.2)).collect(),
        advantage,
    };
    vec![
        row(&[0.1, -0.05, 0.4, 0.0], 1.3),
        row(&[], 2.0),
        row(&[-0.6, 0.5], -0.7),
        row(&[0.02], 0.0),
        row(&[-0.3, -0.1, 1.5], -1.1),
    ]
}

fn check(name: &str, batch: &Batch, losses: fn(&Batch) -> Result<Tensor>) {
    let report = align_testkit::gradcheck(std::slice::from_ref(&batch.log_probs), |inputs| {
        losses(&batch.with_log_probs(&inputs[0]))
    })
    .unwrap();
    assert!(report.relative <= TOLERANCE, "{name}: {report}");
}

fn gradient(batch: &Batch, losses: impl Fn(&Batch) -> Result<Tensor>) -> Vec<f64> {
    let log_probs = Var::from_tensor(&batch.log_probs).unwrap();
    let grads = losses(&batch.with_log_probs(&log_probs)).unwrap().sum_all().unwrap().backward().unwrap();
    grads.get(&log_probs).map_or_else(|| vec![0.0; log_probs.elem_count()], values)
}

#[test]
fn on_both_sides_of_every_clip_edge() {
    for loss in LOSSES.iter().filter(|loss| loss.whole) {
        for advantage in [1.5, -0.8, 0.0] {
            check(loss.name, &packed(&edges(advantage)), loss.losses);
        }
    }
}

#[test]
fn of_ragged_sequences_packed_and_under_a_mask() {
    for loss in LOSSES.iter().filter(|loss| loss.whole) {
        check(loss.name, &packed(&ragged()), loss.losses);
        check(loss.name, &padded(&ragged(), 2, f64::NAN), loss.losses);
    }
    check("k3", &padded(&ragged(), 0, f64::NEG_INFINITY), kl);
}

#[test]
fn a_weight_held_constant_multiplies_the_slope_of_the_log_prob() {
    let batch = packed(&ragged());
    let sequences = &batch.sequences;
    let (ratios, of_tokens) = (batch.log_ratios().unwrap(), sequences.spread(&batch.advantages).unwrap());
    let (lr, a) = (values(&ratios), values(&of_tokens));

    let found = gradient(&batch, |b| Ok(cispo(&b.log_probs, &b.old, &of_tokens, sequences, CAP)?.losses));
    let expected: Vec<f64> = lr.iter().zip(&a).map(|(l, a)| -l.exp().min(CAP) * a).collect();
    close(&found, &expected);

    let found =
        gradient(&batch, |b| Ok(vespo(&b.log_probs, &b.old, &b.advantages, sequences, SHAPES)?.losses));
    let log_w = values(&sequences.spread(&sequences.sums(&ratios).unwrap()).unwrap());
    let expected: Vec<f64> = log_w
        .iter()
        .zip(&a)
        .map(|(log_w, a)| {
            let shape = if *a >= 0.0 { SHAPES.positive } else { SHAPES.negative };
            -a * (shape.lambda * (1.0 - log_w.exp())).exp() * log_w.exp().powf(shape.k)
        })
        .collect();
    close(&found, &expected);
}

/// GSPO's gradient gives every token the mean over the sequence, GSPO-token's each its own: the same for an
/// advantage per sequence (arXiv:2507.18071, section 4.3).
#[test]
fn gspo_token_equals_gspo_in_value_and_gradient_for_an_advantage_per_sequence() {
    let batch = padded(&ragged(), 1, f64::NAN);
    let sequences = &batch.sequences;
    let of_sequence = |b: &Batch| -> Result<Tensor> {
        let log_ratios = sequence_log_ratios(&b.log_ratios()?, sequences)?;
        sequences.spread(&clipped_surrogate(&log_ratios, &b.advantages, CLIP)?.losses)
    };
    let of_tokens = |b: &Batch| -> Result<Tensor> {
        let log_ratios = sequence_token_log_ratios(&b.log_ratios()?, sequences)?;
        Ok(clipped_surrogate(&log_ratios, &sequences.spread(&b.advantages)?, CLIP)?.losses)
    };
    let mean = |losses: Tensor| seq_mean_token_mean(&losses, sequences, sequences.len());
    close(
        &values(&mean(of_sequence(&batch).unwrap()).unwrap()),
        &values(&mean(of_tokens(&batch).unwrap()).unwrap()),
    );
    close(&gradient(&batch, |b| mean(of_sequence(b)?)), &gradient(&batch, |b| mean(of_tokens(b)?)));
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-3), "{found} is not {expected}");
    }
}

/// PyTorch's `min` gives half of the slope to each of two equal operands, and its `clamp` passes the other half.
#[test]
fn at_a_bound_itself_the_ratio_moves() {
    for advantage in [1.0, -1.0] {
        let at_one = Var::from_tensor(&tensor(&[0.0])).unwrap();
        let loss = clipped_surrogate(&at_one, &tensor(&[advantage]), Clip::symmetric(0.0)).unwrap().losses;
        let grads = loss.backward().unwrap();
        assert_eq!(values(grads.get(&at_one).unwrap()), [-advantage]);
    }
}

#[test]
fn of_a_critic_on_all_sides_of_the_range() {
    // V − V_old against R − V_old: inside, outside towards the return, outside away from it, past the return.
    let predicted = tensor(&[0.1, 0.5, -0.5, 0.5, -0.5, 0.0, 3.0, -200.0]);
    let (old, returns) = (tensor(&[0.0; 8]), tensor(&[1.0, 1.0, 1.0, 0.3, -1.0, 0.0, -1.0, 200.0]));
    assert_gradients(&[predicted], TOLERANCE, |inputs| {
        Ok(clipped_value_loss(&inputs[0], &old, &returns, 0.2)?.losses)
    });
}

#[test]
fn of_every_reduction() {
    let batch = padded(&ragged(), 1, 9.0);
    let sequences = &batch.sequences;
    let kept = batch.log_probs.gt(-2.0).unwrap().to_dtype(DType::F64).unwrap();
    type Reduction<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;
    let reductions: [Reduction<'_>; 5] = [
        Box::new(|x| seq_mean_token_mean(x, sequences, 7)),
        Box::new(|x| token_mean(x, sequences, 11)),
        Box::new(|x| seq_mean_token_sum(x, sequences, 5)),
        Box::new(|x| seq_mean_token_sum_norm(x, sequences, 5, 64)),
        Box::new(|x| kept_mean(x, &kept, sequences)),
    ];
    for reduction in &reductions {
        assert_gradients(std::slice::from_ref(&batch.log_probs), TOLERANCE, |inputs| {
            // Not linear, so that a wrong weight cannot hide.
            reduction(&inputs[0].sqr()?)
        });
    }
}

#[test]
fn of_the_exact_divergence_at_ties_at_saturation_and_near_equality() {
    let rows = |rows: [[f64; 4]; 6]| Tensor::new(&rows, &Device::Cpu).unwrap();
    let policy = rows([
        [0.0, 0.0, 0.0, 0.0],
        [1.0, -0.5, 0.3, 2.0],
        [1.0, -0.5, 0.3, 2.0],
        [200.0, -200.0, 0.0, 199.0],
        [1e4, 0.0, -1e4, 3.0],
        [1.0, 2.0, f64::NEG_INFINITY, 0.5],
    ]);
    let reference = rows([
        [0.0, 0.0, 0.0, 0.0],
        [1.0, -0.5, 0.3, 2.0],
        [-2.0, 1.0, 0.0, 0.4],
        [0.0, 0.0, 1.0, -3.0],
        [1e4, 1.0, -1e4, -3.0],
        [0.1, 0.2, 0.3, 0.4],
    ]);
    assert_gradients(&[policy], TOLERANCE, |inputs| exact_kl(&inputs[0], &reference));
}

/// Beyond f32 the value is far too large to train on; what counts is that the slopes are numbers of the right sign.
#[test]
fn of_the_bias_corrected_estimate_where_its_factors_overflow() {
    let (mut r, mut log_ratios) = (Vec::new(), Vec::new());
    for one in [0.0, 1e-12, 0.3, -0.3, 2.0, -2.0, 60.0, -60.0, 130.0, -130.0, 500.0, -500.0] {
        for log_ratio in [0.0, 60.0, -60.0, 88.0, -88.0, 120.0, -120.0, 200.0, -200.0, 500.0, -500.0] {
            r.push(one);
            log_ratios.push(log_ratio);
        }
    }
    let slopes = |dtype| {
        let [log_probs, log_ratios] = [&tensor(&vec![0.0; r.len()]), &tensor(&log_ratios)]
            .map(|tensor| Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap());
        let losses = bias_corrected_k3(&log_probs, &tensor(&r), &log_ratios).unwrap();
        let grads = losses.sum_all().unwrap().backward().unwrap();
        [values(&losses), values(grads.get(&log_probs).unwrap()), values(grads.get(&log_ratios).unwrap())]
    };
    let (double, single) = (slopes(DType::F64), slopes(DType::F32));
    for (kind, (double, single)) in ["value", "by π", "by log ρ"].iter().zip(double.iter().zip(&single)) {
        for (at, (double, single)) in double.iter().zip(single).enumerate() {
            let place = format!("{kind} at r {}, log ρ {}: {double:e}, {single:e}", r[at], log_ratios[at]);
            assert!(double.is_finite() && single.is_finite(), "{place}");
            let continued = log_ratios[at].max(log_ratios[at] + r[at]) > 75.0;
            let same_sign = double.abs().min(single.abs()) > 1e-30 && double.signum() == single.signum();
            let close = (double - single).abs() <= 1e-4 * double.abs() + 1e-30;
            assert!(close || continued && same_sign, "{place}");
        }
    }
}

/// Log-probs of −10⁴ where nothing counts: they touch neither the value nor a slope.
#[test]
fn what_does_not_count_may_be_any_finite_number() {
    let log_probs = tensor(&[-1.0, -1e4, 0.0]);
    let other = tensor(&[-1.5, 0.0, -1e4]);
    let mask = tensor(&[1.0, 0.0, 0.0]);
    let sequences = Sequences::padded(&mask.unsqueeze(0).unwrap()).unwrap();
    type Elementwise = fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;
    let losses: [(&str, Elementwise); 11] = [
        ("k1", |new, old, _| k1(new, old)),
        ("k2", |new, old, _| k2(new, old)),
        ("k3", |new, old, _| k3(new, old)),
        ("abs_kl", |new, old, _| abs_kl(new, old)),
        ("bias_corrected_k3", |new, old, _| bias_corrected_k3(new, old, &(new - old)?)),
        ("ppo_clip", |new, old, a| Ok(ppo_clip(new, old, a, CLIP)?.losses)),
        ("clipped_surrogate", |new, old, a| Ok(clipped_surrogate(&(new - old)?, a, CLIP)?.losses)),
        ("dual_clip_surrogate", |new, old, a| Ok(dual_clip_surrogate(&(new - old)?, a, CLIP, CAP)?.losses)),
        ("two_sided_surrogate", |new, old, a| Ok(two_sided_surrogate(&(new - old)?, a, CLIP, CAP)?.losses)),
        ("sapo", |new, old, a| sapo(&(new - old)?, a, TEMPERATURES)),
        ("clipped_value_loss", |new, old, a| Ok(clipped_value_loss(new, old, a, 0.2)?.losses)),
    ];
    for dtype in [DType::F64, DType::F32] {
        for (name, loss) in losses {
            for advantage in [1.5, -0.5, 0.0] {
                let advantages = tensor(&[advantage; 3]).to_dtype(dtype).unwrap();
                let other = other.to_dtype(dtype).unwrap();
                let slopes = |reduce: &dyn Fn(&Tensor) -> Result<Tensor>| {
                    let log_probs = Var::from_tensor(&log_probs.to_dtype(dtype).unwrap()).unwrap();
                    let sum = reduce(&loss(&log_probs, &other, &advantages).unwrap()).unwrap();
                    let grads = sum.backward().unwrap();
                    (values(&sum), grads.get(&log_probs).map_or_else(|| vec![0.0; 3], values))
                };
                let alone = slopes(&|losses| losses.get(0));
                assert!(alone.0[0].is_finite() && alone.1[1..] == [0.0, 0.0], "{name} {alone:?}");
                let masked = slopes(&|losses| sequences.sums(&losses.unsqueeze(0)?)?.sum_all());
                assert_eq!(masked, alone, "{name} {dtype:?}");
            }
        }
    }
}

#[test]
fn of_the_absolute_log_ratio_beside_its_corner() {
    let reference = tensor(&[-2.0, -2.0, -2.0, -2.0, -2.0]);
    let sampled = tensor(&[-2.0, -1.9, -2.1, -200.0, 0.0]);
    // At the corner itself the two slopes cancel, in a difference as in PyTorch.
    assert_gradients(&[sampled], TOLERANCE, |inputs| abs_kl(&inputs[0], &reference));
}

#[test]
fn what_is_reported_and_what_is_given_has_no_gradient() {
    let batch = packed(&ragged());
    let [log_probs, old, advantages] =
        [&batch.log_probs, &batch.old, &batch.advantages].map(|given| Var::from_tensor(given).unwrap());
    let batch = Batch {
        log_probs: log_probs.as_tensor().clone(),
        old: old.as_tensor().clone(),
        reference: old.as_tensor().clone(),
        advantages: advantages.as_tensor().clone(),
        sequences: batch.sequences,
    };
    for loss in &LOSSES {
        let grads = (loss.losses)(&batch).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&log_probs).is_some(), "{}", loss.name);
        assert!(grads.get(&old).is_none() && grads.get(&advantages).is_none(), "{}", loss.name);
    }
    let of_tokens = batch.sequences.spread(&batch.advantages).unwrap();
    let surrogate = clipped_surrogate(&batch.log_ratios().unwrap(), &of_tokens, CLIP).unwrap();
    for reported in [surrogate.clipped_low, surrogate.clipped_high] {
        assert!(reported.sum_all().unwrap().backward().unwrap().get(&log_probs).is_none());
    }
}
