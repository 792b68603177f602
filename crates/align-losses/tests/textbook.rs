//! Formulas that circulate and are wrong, written out beside ours: each test shows where the wrong one goes wrong and
//! that ours does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_losses::{
    LogRatios, PairLengths, PairLogProbs, cdpo, discopop, dpo, ipo, ipo_length_normalized, label_log_probs,
    log_sigmoid, masked_sequence_log_probs, orpo_odds_ratio, shift_mask, shifted_log_probs,
};
use candle_core::{D, DType, Device, Result, Tensor, Var};

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// Value and slope at a point.
fn at(x: f64, dtype: DType, f: impl Fn(&Tensor) -> Result<Tensor>) -> (f64, f64) {
    let x = Var::from_tensor(&tensor(&[x]).to_dtype(dtype).unwrap()).unwrap();
    let y = f(&x).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    let slope = grads.get(&x).map_or(0.0, |slope| values(slope)[0]);
    (values(&y)[0], slope)
}

fn ratios(h: &Tensor) -> LogRatios {
    LogRatios { chosen: h.clone(), rejected: h.zeros_like().unwrap() }
}

/// σ(x) as textbooks write it.
fn naive_sigmoid(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

#[test]
fn a_logarithm_with_an_epsilon_saturates() {
    let wrong = |x: &Tensor| (naive_sigmoid(x)? + 1e-10)?.log()?.neg();
    let right = |x: &Tensor| dpo(&ratios(x), 1.0);
    for dtype in [DType::F64, DType::F32] {
        // A pair that is entirely wrong must cost 200 and pull with its whole weight.
        assert_eq!(at(-200.0, dtype, right), (200.0, -1.0));
        let (value, slope) = at(-200.0, dtype, wrong);
        assert!(value < 24.0 && (slope.is_nan() || slope.abs() < 1e-9), "{value} {slope} {dtype:?}");
    }
    // And one that is right must not earn a negative loss.
    assert!(at(40.0, DType::F64, wrong).0 < 0.0);
    assert!(at(40.0, DType::F64, right).0 > 0.0);
}

#[test]
fn a_log_sigmoid_by_absolute_values_has_the_wrong_slope_at_zero() {
    // Candle gives |x| the slope 1 at 0 and shares that of min between equal operands.
    let wrong = |x: &Tensor| x.minimum(&x.zeros_like()?)? - (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let (value, slope) = at(0.0, DType::F64, wrong);
    assert!((value + 2f64.ln()).abs() < 1e-15 && slope != 0.5, "{value} {slope}");
    // The first step of every DPO run is here: policy = reference.
    assert_eq!(at(0.0, DType::F64, log_sigmoid).1, 0.5);
    // Without a stabiliser it is infinite.
    assert_eq!(at(-800.0, DType::F64, |x| naive_sigmoid(x)?.log()).0, f64::NEG_INFINITY);
    assert_eq!(at(-800.0, DType::F64, log_sigmoid), (-800.0, 1.0));
}

/// Two rows of four tokens over a vocabulary of five, and their mask.
fn rows() -> (Tensor, Tensor, Tensor) {
    let logits = Tensor::arange(0f64, 40.0, &Device::Cpu).unwrap().sin().unwrap().reshape((2, 4, 5)).unwrap();
    let tokens = Tensor::new(&[[3u32, 1, 4, 0], [2, 2, 0, 1]], &Device::Cpu).unwrap();
    let mask = Tensor::new(&[[0u8, 1, 1, 0], [0, 0, 1, 1]], &Device::Cpu).unwrap();
    (logits, tokens, mask)
}

fn sequence_log_probs(logits: &Tensor, tokens: &Tensor, mask: &Tensor) -> Vec<f64> {
    let log_probs = shifted_log_probs(logits, tokens).unwrap();
    values(&masked_sequence_log_probs(&log_probs, &shift_mask(mask).unwrap()).unwrap())
}

#[test]
fn labels_that_are_not_shifted_reward_copying() {
    let (_, tokens, mask) = rows();
    // A model that says again what it just read knows nothing of the next token.
    let copies = (tokens_one_hot(&tokens) * 50.0).unwrap();
    let wrong = values(&label_log_probs(&copies, &tokens).unwrap().sum(D::Minus1).unwrap());
    assert!(wrong.iter().all(|sum| *sum > -1e-9), "{wrong:?}");
    // The second row repeats its first token, but that repetition is in the prompt.
    let right = sequence_log_probs(&copies, &tokens, &mask);
    assert!(right.iter().all(|sum| *sum < -90.0), "{right:?}");
}

fn tokens_one_hot(tokens: &Tensor) -> Tensor {
    let vocabulary = Tensor::arange(0u32, 5, &Device::Cpu).unwrap();
    let tokens = tokens.unsqueeze(D::Minus1).unwrap();
    tokens.broadcast_eq(&vocabulary).unwrap().to_dtype(DType::F64).unwrap()
}

#[test]
fn log_probs_without_a_mask_count_prompt_and_padding() {
    let (logits, tokens, mask) = rows();
    let unmasked =
        |logits: &Tensor| values(&shifted_log_probs(logits, &tokens).unwrap().sum(D::Minus1).unwrap());
    // Other logits where the prompt and the padding are predicted: nothing that the loss is about.
    let mut outside = vec![0.0; 40];
    outside[15..20].copy_from_slice(&[9.0, 0.0, 0.0, 0.0, 0.0]); // after the last token
    outside[10..15].copy_from_slice(&[9.0, 0.0, 0.0, 0.0, 0.0]); // predicts the first row's padding
    outside[20..25].copy_from_slice(&[9.0, 0.0, 0.0, 0.0, 0.0]); // predicts the second row's prompt
    let moved = (&logits + tensor(&outside).reshape((2, 4, 5)).unwrap()).unwrap();
    let (wrong, wrong_moved) = (unmasked(&logits), unmasked(&moved));
    assert!(wrong.iter().zip(&wrong_moved).all(|(a, b)| (a - b).abs() > 1.0), "{wrong:?} {wrong_moved:?}");
    assert_eq!(sequence_log_probs(&logits, &tokens, &mask), sequence_log_probs(&moved, &tokens, &mask));
}

#[test]
fn a_large_beta_keeps_the_policy_close_not_a_small_one() {
    // With labels that are right in 9 of 10 cases the best log-ratio is ln(9)/β: the larger β, the smaller.
    let best = |beta: f64| {
        let (mut low, mut high) = (0.0, 100.0);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            let slope = at(middle, DType::F64, |h| cdpo(&ratios(h), beta, 0.1)).1;
            if slope < 0.0 { low = middle } else { high = middle }
        }
        low
    };
    for beta in [0.05, 0.1, 0.5, 2.0] {
        assert!((best(beta) * beta / 9f64.ln() - 1.0).abs() < 1e-9, "{beta}: {}", best(beta));
    }
    assert!(best(0.1) > best(0.5));
}

#[test]
fn label_smoothing_is_not_a_word_without_effect() {
    // One released trainer accepts the option for its standard loss and ignores it.
    let h = tensor(&[30.0]);
    let (plain, smoothed) = (dpo(&ratios(&h), 0.1).unwrap(), cdpo(&ratios(&h), 0.1, 0.1).unwrap());
    assert!((values(&smoothed)[0] - values(&plain)[0] - 0.3).abs() < 1e-12);
}

#[test]
fn the_two_forms_of_ipo_are_two_losses() {
    let policy = PairLogProbs { chosen: tensor(&[-20.0]), rejected: tensor(&[-90.0]) };
    let reference = PairLogProbs { chosen: tensor(&[-24.0]), rejected: tensor(&[-84.0]) };
    let lengths = PairLengths { chosen: tensor(&[10.0]), rejected: tensor(&[30.0]) };
    let ratios = LogRatios::new(&policy, &reference).unwrap();
    assert_eq!(values(&ipo(&ratios, 0.1).unwrap()), [25.0]); // (4 + 6 − 5)²
    let per_token = values(&ipo_length_normalized(&ratios, &lengths, 0.1).unwrap())[0];
    assert!((per_token - 4.4f64.powi(2)).abs() < 1e-12); // (0.4 + 0.2 − 5)²
}

#[test]
fn a_product_of_zero_and_infinity_is_not_a_number() {
    let wrong = |z: &Tensor| {
        let blend = naive_sigmoid(&(z / 0.05)?)?;
        (z.neg()?.exp()? * &blend)? - (log_sigmoid(z)? * (1.0 - blend)?)?
    };
    assert!(at(-200.0, DType::F32, wrong).0.is_nan());
    assert_eq!(at(-200.0, DType::F32, |h| discopop(&ratios(h), 1.0, 0.05)), (200.0, -1.0));
    // Where both are numbers they agree.
    for z in [-0.4, -0.02, 0.0, 0.03, 2.0] {
        let (naive, ours) =
            (at(z, DType::F64, wrong), at(z, DType::F64, |h| discopop(&ratios(h), 1.0, 0.05)));
        assert!(
            (naive.0 - ours.0).abs() < 1e-13 && (naive.1 - ours.1).abs() < 1e-12,
            "{z}: {naive:?} {ours:?}"
        );
    }
}

#[test]
fn odds_of_what_is_almost_certain_lose_all_digits_in_one_minus_p() {
    let wrong = |x: &Tensor| x - (1.0 - x.exp()?)?.log()?;
    let one = PairLengths { chosen: tensor(&[1.0]), rejected: tensor(&[1.0]) };
    let right = |x: &Tensor| {
        let even = (x.ones_like()? * 0.5f64.ln())?; // odds 1
        orpo_odds_ratio(&PairLogProbs { chosen: x.clone(), rejected: even }, &one).map(|ratio| ratio.log_odds)
    };
    // p = 1 − 10⁻¹², of which f32 keeps nothing and f64 four digits: the odds are 10¹².
    assert_eq!(at(-1e-12, DType::F32, wrong).0, f64::INFINITY);
    assert!((at(-1e-12, DType::F64, wrong).0 - 1e12f64.ln()).abs() > 1e-6);
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-11)] {
        let (value, slope) = at(-1e-12, dtype, right);
        assert!((value - 1e12f64.ln()).abs() < tolerance, "{value} {dtype:?}");
        assert!((slope / 1e12 - 1.0).abs() < tolerance, "{slope} {dtype:?}");
    }
    // Certainty itself has infinite odds; here they end at a number.
    let (value, slope) = at(0.0, DType::F64, right);
    assert!(value > 60.0 && value.is_finite() && slope == 1.0, "{value} {slope}");
}
