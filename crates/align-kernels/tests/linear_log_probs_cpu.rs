//! The language-model head on f32 slices against its composed form in f32 and, as the truth, in f64.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use align_kernels::{
    Head, Param, TokenStats, composed, embedding, linear_log_probs, linear_log_probs_with_stats,
};
use candle_core::{DType, Device, Result, Tensor};

const CPU: Device = Device::Cpu;

/// Deterministic f32 entries in ±`scale`.
fn values(rows: usize, columns: usize, seed: usize, scale: f32) -> Tensor {
    let entry = |i: usize| scale * (((i + 1) * (7919 + 2 * seed) % 10_007) as f32 / 5003.5 - 1.0);
    Tensor::from_iter((0..rows * columns).map(entry), &CPU).unwrap().reshape((rows, columns)).unwrap()
}

fn labels(rows: usize, vocab: usize) -> Tensor {
    Tensor::from_iter((0..rows).map(|i| ((i * 31 + vocab - 1) % vocab) as u32), &CPU).unwrap()
}

type WithStats = fn(&Tensor, &Param, &Tensor) -> Result<(Tensor, TokenStats)>;

/// All that the op says, in f64: log-probs, entropy, hits, log Σ p², and the gradients of the hidden
/// states and of the weight when every row has a gradient of its own.
fn outcome(hidden: &Tensor, weight: &Tensor, labels: &Tensor, op: WithStats) -> [Vec<f64>; 6] {
    let (hidden, weight) = (Param::tracked(hidden).unwrap(), Param::tracked(weight).unwrap());
    let (log_probs, stats) = op(hidden.tensor(), &weight, labels).unwrap();
    let rows = log_probs.dims1().unwrap();
    let factors = values(1, rows, 5, 1.0).reshape(rows).unwrap().to_dtype(log_probs.dtype()).unwrap();
    let grads = (&log_probs * factors).unwrap().sum_all().unwrap().backward().unwrap();
    let d_hidden = grads.get(hidden.tensor()).unwrap();
    let d_weight = weight.grad_buffer().unwrap().get().unwrap();
    [&log_probs, &stats.entropy, &stats.correct, &stats.log_sum_sq_probs, d_hidden, &d_weight]
        .map(|t| t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap())
}

/// Largest difference, relative to the largest entry (at least `floor`).
fn distance(found: &[f64], exact: &[f64], floor: f64) -> f64 {
    assert_eq!(found.len(), exact.len());
    let scale = exact.iter().fold(floor, |max, x| max.max(x.abs()));
    found.iter().zip(exact).fold(0.0, |max: f64, (a, b)| {
        assert!(a.is_finite() && b.is_finite(), "{a} for {b}");
        max.max((a - b).abs() / scale)
    })
}

/// Compares with the composed form in f64, within `tolerance`, and asks for no more than twice the error
/// of the composed form in f32.
fn check(hidden: &Tensor, weight: &Tensor, labels: &Tensor, tolerance: f64) {
    let found = outcome(hidden, weight, labels, linear_log_probs_with_stats);
    let composed =
        outcome(hidden, weight, labels, |h, w, l| composed(|| linear_log_probs_with_stats(h, w, l)));
    let double = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let exact = outcome(&double(hidden), &double(weight), labels, linear_log_probs_with_stats);
    for (which, ((found, composed), exact)) in found.iter().zip(&composed).zip(&exact).enumerate() {
        assert!(!found.is_empty(), "quantity {which} is empty");
        // A quantity of zeros is compared absolutely, at the size of the operands' rounding.
        let (ours, theirs) = (distance(found, exact, 1e-2), distance(composed, exact, 1e-2));
        assert!(ours <= tolerance, "quantity {which}: {ours:e}, composed {theirs:e}");
        assert!(ours <= 2.0 * theirs + 5e-7, "quantity {which}: {ours:e}, composed {theirs:e}");
    }
}

#[test]
fn agrees_with_the_composed_form_at_odd_sizes() {
    for (rows, width, vocab) in
        [(1, 1, 1), (1, 3, 7), (5, 1, 7), (1, 64, 32_000), (511, 17, 384), (513, 64, 1), (513, 8, 4099)]
    {
        check(&values(rows, width, 1, 1.0), &values(vocab, width, 2, 1.5), &labels(rows, vocab), 1e-5);
    }
}

#[test]
fn agrees_at_a_real_vocabulary() {
    check(&values(37, 64, 1, 1.0), &values(32_000, 64, 2, 1.0), &labels(37, 32_000), 1e-5);
}

#[test]
fn agrees_where_logits_are_extreme_or_all_alike() {
    for scale in [0.0, 1e-3, 1e2, 1e4] {
        // One-hot hidden states pick columns of the weight, so logits are exact and reach ± scale.
        let hidden = Tensor::eye(6, DType::F32, &CPU).unwrap();
        check(&hidden, &values(301, 6, 3, scale), &labels(6, 301), 1e-5);
    }
}

#[test]
fn probabilities_keep_their_digits_where_logits_are_large() {
    // Next to logits of 10000 and 9999, log-sum-exp in f32 has steps of 0.001.
    let hidden = Tensor::ones((3, 1), DType::F32, &CPU).unwrap();
    let weight = Param::tracked(&Tensor::new(&[[1e4f32], [9999.0], [-1e4]], &CPU).unwrap()).unwrap();
    let labels = Tensor::new(&[0u32, 1, 2], &CPU).unwrap();
    let found = linear_log_probs(&hidden, &weight, &labels).unwrap();
    let first = -(-1f64).exp().ln_1p();
    let close = |found: &[f32], exact: &[f64]| {
        assert_eq!(found.len(), exact.len());
        found.iter().zip(exact).all(|(a, b)| (f64::from(*a) - b).abs() <= 1.2e-7 * b.abs())
    };
    assert!(close(&all(&found), &[first, first - 1.0, first - 2e4]), "{found}");

    found.narrow(0, 0, 1).unwrap().sum_all().unwrap().backward().unwrap();
    let p = first.exp();
    let d_weight = all(&weight.grad_buffer().unwrap().get().unwrap());
    assert!(close(&d_weight, &[1.0 - p, p - 1.0, 0.0]), "{d_weight:?}");
}

#[test]
fn of_equally_likely_tokens_the_first_is_the_guess() {
    let hidden = Tensor::ones((3, 1), DType::F32, &CPU).unwrap();
    // The ties reach over segments and tiles.
    let weight = Tensor::zeros((70_000, 1), DType::F32, &CPU).unwrap();
    let labels = Tensor::new(&[0u32, 1, 69_999], &CPU).unwrap();
    let (_, stats) = linear_log_probs_with_stats(&hidden, &Param::frozen(&weight), &labels).unwrap();
    assert_eq!(stats.correct.to_vec1::<f32>().unwrap(), [1.0, 0.0, 0.0]);
}

/// The gradients of the hidden states and of the weight when the rows' gradients are `factors`.
fn gradients(hidden: &Tensor, weight: &Param, factors: &[f32]) -> [Tensor; 2] {
    let hidden = Param::tracked(hidden).unwrap();
    let (rows, vocab) = (factors.len(), weight.tensor().dims()[0]);
    let log_probs = linear_log_probs(hidden.tensor(), weight, &labels(rows, vocab)).unwrap();
    let factors = Tensor::new(factors, &CPU).unwrap();
    let grads = (log_probs * factors).unwrap().sum_all().unwrap().backward().unwrap();
    let buffer = weight.grad_buffer().unwrap();
    [grads.get(hidden.tensor()).unwrap().clone(), buffer.get().unwrap()]
}

fn all(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn rows_without_gradient_add_nothing() {
    let (hidden, weight) = (values(4, 3, 1, 1.0), values(9, 3, 2, 1.0));
    let weight = || Param::tracked(&weight).unwrap();
    let [d_hidden, d_weight] = gradients(&hidden, &weight(), &[0.0, 0.5, -0.0, -2.0]);
    assert_eq!(all(&d_hidden.narrow(0, 0, 1).unwrap()), [0.0; 3]);
    assert_eq!(all(&d_hidden.narrow(0, 2, 1).unwrap()), [0.0; 3]);
    // Labels go by position, so the rows that count stay where they are and the others move.
    let mut other = hidden.to_vec2::<f32>().unwrap();
    other[0] = vec![7.0; 3];
    other[2] = vec![-5.0; 3];
    let [_, same] = gradients(&Tensor::new(other, &CPU).unwrap(), &weight(), &[0.0, 0.5, -0.0, -2.0]);
    assert_eq!(all(&d_weight), all(&same));
    let [d_hidden, d_weight] = gradients(&hidden, &weight(), &[0.0; 4]);
    assert_eq!((all(&d_hidden), all(&d_weight)), (vec![0.0; 12], vec![0.0; 27]));
}

#[test]
fn a_gradient_that_is_not_a_number_stays_visible() {
    let (hidden, weight) = (values(3, 2, 1, 1.0), Param::tracked(&values(5, 2, 2, 1.0)).unwrap());
    let [d_hidden, d_weight] = gradients(&hidden, &weight, &[1.0, f32::NAN, 1.0]);
    let is_nan: Vec<bool> = all(&d_hidden).iter().map(|x| x.is_nan()).collect();
    assert_eq!(is_nan, [false, false, true, true, false, false]);
    assert!(all(&d_weight).iter().all(|x| x.is_nan()));
}

#[test]
fn a_hidden_state_that_is_not_a_number_makes_its_row_so() {
    let hidden = Tensor::new(&[[1f32, 2.0], [f32::NAN, 1.0]], &CPU).unwrap();
    let weight = Param::frozen(&values(5, 2, 2, 1.0));
    let (log_probs, stats) = linear_log_probs_with_stats(&hidden, &weight, &labels(2, 5)).unwrap();
    for values in [&log_probs, &stats.entropy, &stats.log_sum_sq_probs] {
        assert_eq!(all(values).iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true]);
    }
}

/// A vocabulary with entries of −∞ among others is, for what is said of it, the one without them.
#[test]
fn a_logit_of_minus_infinity_has_no_share() {
    for vocab in [5usize, 33, 5000] {
        let possible = |token: usize| token % 3 != 1 && token != vocab - 1;
        let logits: Vec<f32> = all(&values(vocab, 1, 3, 2.0));
        let masked: Vec<f32> =
            (0..vocab).map(|i| if possible(i) { logits[i] } else { f32::NEG_INFINITY }).collect();
        let left: Vec<f32> = (0..vocab).filter(|&i| possible(i)).map(|i| logits[i]).collect();
        // The second possible token, 2, is the second of those that are left.
        let outcome = |weight: &[f32], label: u32, dtype: DType, op: WithStats| {
            let hidden = Tensor::ones((1, 1), dtype, &CPU).unwrap();
            let weight = Tensor::new(weight, &CPU).unwrap().unsqueeze(1).unwrap().to_dtype(dtype).unwrap();
            let weight = Param::tracked(&weight).unwrap();
            let (log_probs, stats) = op(&hidden, &weight, &Tensor::new(&[label], &CPU).unwrap()).unwrap();
            log_probs.sum_all().unwrap().backward().unwrap();
            let said = [&log_probs, &stats.entropy, &stats.correct, &stats.log_sum_sq_probs]
                .map(|t| f64::from(all(&t.to_dtype(DType::F32).unwrap())[0]));
            (said, all(&weight.grad_buffer().unwrap().get().unwrap().to_dtype(DType::F32).unwrap()))
        };
        let (exact, _) = outcome(&left, 1, DType::F64, linear_log_probs_with_stats);
        let forms: [(DType, WithStats); 3] = [
            (DType::F32, linear_log_probs_with_stats),
            (DType::F32, |h, w, l| composed(|| linear_log_probs_with_stats(h, w, l))),
            (DType::F64, |h, w, l| composed(|| linear_log_probs_with_stats(h, w, l))),
        ];
        for (dtype, op) in forms {
            let (said, gradient) = outcome(&masked, 2, dtype, op);
            assert!(distance(&said, &exact, 1.0) < 1e-6, "{vocab} {dtype:?}: {said:?} is not {exact:?}");
            assert_eq!(gradient.len(), vocab);
            for (i, slope) in gradient.iter().enumerate() {
                assert!(if possible(i) { slope.is_finite() } else { *slope == 0.0 }, "{vocab} {i}: {slope}");
            }
        }
    }
}

#[test]
fn gradients_of_several_steps_add_up_in_the_weights_buffer() {
    let (hidden, weight) = (values(4, 3, 1, 1.0), Param::tracked(&values(9, 3, 2, 1.0)).unwrap());
    let once = all(&gradients(&hidden, &weight, &[1.0; 4])[1]);
    let twice = all(&gradients(&hidden, &weight, &[1.0; 4])[1]);
    assert_eq!((once.len(), twice.len()), (27, 27));
    assert!(once.iter().any(|x| x.abs() > 0.1));
    for (once, twice) in once.iter().zip(&twice) {
        assert!((2.0 * once - twice).abs() <= 1e-6, "{twice} is not twice {once}");
    }
}

#[test]
fn a_tied_embedding_gets_both_gradients() {
    let ids = Tensor::new(&[3u32, 0, 3, 8, 1], &CPU).unwrap();
    let table = values(9, 6, 2, 1.0);
    let run = |dtype: DType| {
        let table = Param::tracked(&table.to_dtype(dtype).unwrap()).unwrap();
        let hidden = embedding(&ids, &table).unwrap();
        let loss = linear_log_probs(&hidden, &table, &labels(5, 9)).unwrap().sum_all().unwrap();
        loss.backward().unwrap();
        let grad = table.grad_buffer().unwrap().get().unwrap().flatten_all().unwrap();
        grad.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
    };
    assert!(distance(&run(DType::F32), &run(DType::F64), 1e-2) < 1e-6);
}

#[test]
fn a_frozen_weight_passes_the_gradient_on_and_an_untracked_input_gets_none() {
    let (hidden, weight) = (values(5, 3, 1, 1.0), Param::tracked(&values(9, 3, 2, 1.0)).unwrap());
    let [d_hidden, d_weight] = gradients(&hidden, &weight, &[1.0; 5]);

    let tracked = Param::tracked(&hidden).unwrap();
    let frozen = Param::frozen(weight.tensor());
    let loss = linear_log_probs(tracked.tensor(), &frozen, &labels(5, 9)).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    assert_eq!(all(grads.get(tracked.tensor()).unwrap()), all(&d_hidden));

    weight.grad_buffer().unwrap().clear();
    let loss = linear_log_probs(&hidden, &weight, &labels(5, 9)).unwrap().sum_all().unwrap();
    assert_eq!(loss.backward().unwrap().get(&hidden).map(all), None);
    assert_eq!(all(&weight.grad_buffer().unwrap().get().unwrap()), all(&d_weight));

    assert!(!linear_log_probs(&hidden, &frozen, &labels(5, 9)).unwrap().track_op());
}

#[test]
fn operands_may_lie_in_memory_as_they_like() {
    let (hidden, weight, labels) = (values(6, 4, 1, 1.0), values(9, 4, 2, 1.0), labels(6, 9));
    let turned = |t: &Tensor| t.t().unwrap().contiguous().unwrap().t().unwrap();
    let expected = all(&linear_log_probs(&hidden, &Param::frozen(&weight), &labels).unwrap());
    let every_other =
        Tensor::stack(&[&labels, &labels], 1).unwrap().narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    let found = linear_log_probs(&turned(&hidden), &Param::frozen(&weight), &every_other).unwrap();
    assert_eq!(all(&found), expected);
    // A weight whose rows do not follow one another is for the composed form.
    let found = linear_log_probs(&hidden, &Param::frozen(&turned(&weight)), &labels).unwrap();
    for (found, expected) in all(&found).iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let weight = Param::frozen(&values(9, 4, 2, 1.0));
    let refused = |hidden: &Tensor, labels: &[u32]| {
        let labels = Tensor::new(labels, &CPU).unwrap();
        linear_log_probs(hidden, &weight, &labels).unwrap_err().to_string()
    };
    assert!(refused(&values(2, 4, 1, 1.0), &[8, 9]).contains("label 9 is outside the vocabulary of 9"));
    assert!(refused(&values(2, 3, 1, 1.0), &[0, 1]).contains("expected hidden [rows, 4]"));
    assert!(refused(&values(2, 4, 1, 1.0), &[0]).contains("expected hidden [rows, 4]"));
}

#[test]
fn smoothed_labels_are_the_label_and_an_even_share_of_all_log_probs() {
    // Two tiles of rows, and a vocabulary of several segments.
    let (rows, width, vocab, smoothing) = (513, 8, 4099, 0.1);
    let (hidden, weight) = (values(rows, width, 1, 1.0), values(vocab, width, 2, 1.5));
    let labels = labels(rows, vocab);
    let smoothed: WithStats =
        |hidden, weight, labels| Head::new(weight).smoothed_log_probs_with_stats(hidden, labels, 0.1);
    let by_definition: WithStats = |hidden, weight, labels| {
        let stats = linear_log_probs_with_stats(hidden, weight, labels)?.1;
        let all = log_softmax(&Head::new(weight).logits(hidden)?)?;
        let of_labels = all.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
        Ok((((of_labels * (1.0 - 0.1))? + (all.mean(1)? * 0.1)?)?, stats))
    };
    let double = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let exact = outcome(&double(&hidden), &double(&weight), &labels, by_definition);
    let found = outcome(&hidden, &weight, &labels, smoothed);
    let in_tensors = outcome(&hidden, &weight, &labels, |h, w, l| {
        composed(|| Head::new(w).smoothed_log_probs_with_stats(h, l, 0.1))
    });
    for (which, exact) in exact.iter().enumerate() {
        for (form, found) in [("cpu", &found), ("composed", &in_tensors)] {
            let distance = distance(&found[which], exact, 1e-2);
            assert!(distance < 1e-5, "{form}, quantity {which}: {distance:e}");
        }
    }
    let plain = outcome(&hidden, &weight, &labels, linear_log_probs_with_stats);
    assert!(distance(&plain[0], &found[0], 1e-2) > 1e-2, "smoothing of {smoothing} is no different");
    let param = Param::frozen(&weight);
    for wrong in [-0.1, 1.0, f64::NAN] {
        let smoothed = Head::new(&param).smoothed_log_probs_with_stats(&hidden, &labels, wrong);
        assert!(smoothed.unwrap_err().to_string().contains("label smoothing"));
    }
}

#[test]
fn the_gradient_of_smoothed_labels_is_that_of_finite_differences() {
    let (hidden, weight) = (values(3, 4, 1, 1.0), values(7, 4, 2, 1.5));
    let labels = labels(3, 7);
    let double = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let loss = |hidden: &Tensor| {
        let head = Param::frozen(&double(&weight));
        let (log_probs, _) =
            composed(|| Head::new(&head).smoothed_log_probs_with_stats(hidden, &labels, 0.3)).unwrap();
        log_probs.sum_all().unwrap()
    };
    // On slices in f32, against differences in f64.
    let tracked = Param::tracked(&hidden).unwrap();
    let head = Param::tracked(&weight).unwrap();
    let (log_probs, _) =
        Head::new(&head).smoothed_log_probs_with_stats(tracked.tensor(), &labels, 0.3).unwrap();
    let grads = log_probs.sum_all().unwrap().backward().unwrap();
    let found = grads.get(tracked.tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let at: Vec<f64> = double(&hidden).flatten_all().unwrap().to_vec1().unwrap();
    for (place, found) in found.iter().enumerate() {
        let moved = |by: f64| {
            let mut at = at.clone();
            at[place] += by;
            loss(&Tensor::from_vec(at, (3, 4), &CPU).unwrap()).to_scalar::<f64>().unwrap()
        };
        let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((f64::from(*found) - difference).abs() < 1e-5, "{place}: {found} is not {difference}");
    }
}

fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}
