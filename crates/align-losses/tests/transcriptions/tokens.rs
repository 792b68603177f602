//! Losses on tokens, and divergences between distributions over them.

use align_losses::{
    dft, entropy, exact_kl, k1, k2, k3, label_log_probs, label_smoothed_nll, log_sum_sq_probs,
    masked_sequence_log_probs, nll, shift_mask, shifted_log_probs,
};
use candle_core::{Device, Result, Tensor};

use super::{close, gradient, minimum, number, tensor, values};

const LOGITS: [f64; 4] = [0.3, -1.2, 2.0, 0.4];
const OTHERS: [f64; 4] = [-0.5, 0.1, 0.9, -2.0];

fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x.exp() / total).collect()
}

/// Log-probs of all tokens.
fn all_log_probs(logits: &Tensor) -> Result<Tensor> {
    let vocab = logits.elem_count();
    let labels = Tensor::arange(0u32, vocab as u32, logits.device())?;
    label_log_probs(&logits.broadcast_as((vocab, vocab))?.contiguous()?, &labels)
}

/// The factor that is held constant turns −∇log p into −∇p: what is climbed is the share of hits.
#[test]
fn dynamic_fine_tuning_climbs_the_probability_itself() {
    let label =
        |logits: &Tensor| label_log_probs(&logits.unsqueeze(0)?, &Tensor::new(&[1u32], &Device::Cpu)?);
    let tuned = gradient(&tensor(&LOGITS), |logits| dft(&label(logits)?, &tensor(&[1.0])));
    close(&tuned, &gradient(&tensor(&LOGITS), |logits| label(logits)?.exp()?.neg()));
    let plain = gradient(&tensor(&LOGITS), |logits| nll(&label(logits)?, &tensor(&[1.0])));
    assert!(tuned[1] < 0.0 && tuned[1] > plain[1], "{tuned:?} {plain:?}");
}

#[test]
fn smoothed_labels_are_learned_as_they_are() {
    let (labels, mask) = (Tensor::new(&[2u32], &Device::Cpu).unwrap(), tensor(&[1.0]));
    for epsilon in [0.1, 0.6, 1.0] {
        let loss = |logits: &Tensor| label_smoothed_nll(&logits.unsqueeze(0)?, &labels, &mask, epsilon);
        let mut expected = vec![epsilon / 4.0; 4];
        expected[2] += 1.0 - epsilon;
        close(&softmax(&minimum(4, 2.0, loss)), &expected);
    }
    let logits = tensor(&LOGITS).unsqueeze(0).unwrap();
    let hard = label_smoothed_nll(&logits, &labels, &mask, 0.0).unwrap();
    close(&values(&hard), &values(&label_log_probs(&logits, &labels).unwrap().neg().unwrap()));
}

/// A model whose next token depends on the one before it: the probabilities of all continuations of a token add up to
/// one, which they do not if a token is read from the logits of any other place.
#[test]
fn the_probabilities_of_all_continuations_add_up_to_one() {
    let after = [[0.2, -1.0, 0.7], [1.5, 0.0, -0.3], [-2.0, 0.4, 0.1]];
    let tokens: Vec<u32> = (0..3u32).flat_map(|a| (0..3u32).flat_map(move |b| [1, a, b])).collect();
    let logits: Vec<f64> = tokens.iter().flat_map(|&token| after[token as usize]).collect();
    let tokens = Tensor::from_vec(tokens, (9, 3), &Device::Cpu).unwrap();
    let logits = Tensor::from_vec(logits, (9, 3, 3), &Device::Cpu).unwrap();
    let log_probs = shifted_log_probs(&logits, &tokens).unwrap();
    let total = |mask: [u8; 3]| {
        let mask = Tensor::from_vec(mask.repeat(9), (9, 3), &Device::Cpu).unwrap();
        let sums = masked_sequence_log_probs(&log_probs, &shift_mask(&mask).unwrap()).unwrap();
        values(&sums).into_iter().map(f64::exp).sum::<f64>()
    };
    // The first token is given, whether the mask counts it or not. Without the last one each first is there three times.
    close(&[total([1, 1, 1]), total([0, 1, 1]), total([0, 1, 0]), total([1, 0, 0])], &[1.0, 1.0, 3.0, 9.0]);
}

#[test]
fn entropies_and_agreements_of_independent_draws_add_up() {
    let row = |logits: &[f64]| tensor(logits).unsqueeze(0).unwrap();
    let both: Vec<f64> = LOGITS.iter().flat_map(|a| OTHERS.map(|b| a + b)).collect();
    for measure in [entropy, log_sum_sq_probs] {
        let of = |logits: &[f64]| number(&measure(&row(logits)).unwrap());
        close(&[of(&both)], &[of(&LOGITS) + of(&OTHERS)]);
        close(&[of(&[-3.0; 8]).abs(), of(&[500.0, 0.0, -500.0])], &[8f64.ln(), 0.0]);
    }
    // Two draws agree at least as often as e to the minus entropy says (Jensen).
    let of = |measure: fn(&Tensor) -> Result<Tensor>| number(&measure(&row(&LOGITS)).unwrap());
    assert!(-of(log_sum_sq_probs) < of(entropy));
}

#[test]
fn the_exact_divergence_has_the_closed_forms_of_uniform_and_of_independent_distributions() {
    const NO: f64 = f64::NEG_INFINITY;
    let kl = |p: &[f64], q: &[f64]| number(&exact_kl(&tensor(p), &tensor(q)).unwrap());
    // Uniform over 2 of 6 tokens against uniform over all.
    close(&[kl(&[NO, 7.0, NO, NO, 7.0, NO], &[0.0; 6])], &[3f64.ln()]);
    // A coin of 3/4 against a fair one: ln 2 less its entropy.
    let entropy = -(0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
    close(&[kl(&[3f64.ln(), 0.0], &[0.0, 0.0])], &[2f64.ln() - entropy]);
    let joint = |a: [f64; 4], b: [f64; 4]| -> Vec<f64> { a.iter().flat_map(|a| b.map(|b| a + b)).collect() };
    close(
        &[kl(&joint(LOGITS, OTHERS), &joint(OTHERS, [0.0; 4]))],
        &[kl(&LOGITS, &OTHERS) + kl(&OTHERS, &[0.0; 4])],
    );
}

/// Means over the policy's own samples, taken over all tokens with their probabilities: k1 pulls nowhere, k2 as the
/// divergence itself, k3 as the divergence the other way round, whose gradient is that of learning the reference's tokens.
#[test]
fn as_losses_the_estimates_pull_where_the_module_page_says() {
    let p = tensor(&softmax(&LOGITS));
    let reference = all_log_probs(&tensor(&OTHERS)).unwrap();
    let expected = |estimate: fn(&Tensor, &Tensor) -> Result<Tensor>| {
        gradient(&tensor(&LOGITS), |logits| &p * estimate(&all_log_probs(logits)?, &reference)?)
    };
    close(&expected(k1), &[0.0; 4]);
    close(&expected(k2), &gradient(&tensor(&LOGITS), |logits| exact_kl(logits, &tensor(&OTHERS))));
    let imitation = softmax(&LOGITS).iter().zip(softmax(&OTHERS)).map(|(p, q)| p - q).collect::<Vec<_>>();
    close(&expected(k3), &imitation);
}
