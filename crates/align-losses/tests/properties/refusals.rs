//! What the border refuses, and that it says what was expected and what was found.

use align_losses::{
    FDivergence, LogRatios, PairLengths, PairLogProbs, Sequences, aot, bco, bco_pair, bradley_terry,
    bradley_terry_with_margin, cdpo, cdpo_with_margin, chosen_nll, density_ratio_weights,
    desirability_weighted, discopop, dpo, dpop, entropy, exo_pair, generalized_jsd, k3, kto, kto_kl,
    label_log_probs, label_smoothed_nll, ld_log_probs, masked_mean, nll, plackett_luce, rdpo,
    reward_regression, robust_dpo, sequence_log_probs, shift_mask, shifted_log_probs, simpo, slic,
    wpo_weights,
};
use candle_core::{DType, Device, Result, Tensor};

use crate::table::{model, tensor};

fn check<T>(result: Result<T>, expected: &str) {
    let message = result.err().map(|error| error.to_string()).unwrap_or_else(|| "accepted".into());
    assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
}

#[test]
fn pairs() {
    let (two, three) = (model(&[-1., -2.], &[-3., -4.]), model(&[-1., -2., -3.], &[-1., -2., -3.]));
    check(LogRatios::new(&two, &three), "expected the reference's chosen log-probs [2], got [3]");
    check(aot(&two, &three, 0.1, 0.0), "expected the reference's chosen log-probs [2], got [3]");
    let uneven = PairLogProbs { rejected: three.rejected.clone(), ..two.clone() };
    check(LogRatios::reference_free(&uneven), "expected the policy's rejected log-probs [2], got [3]");
    let integers = PairLogProbs { chosen: Tensor::new(&[1u32, 2], &Device::Cpu).unwrap(), ..two.clone() };
    check(LogRatios::new(&integers, &two), "of a floating type");
    let lengths = PairLengths { chosen: tensor(&[1., 2., 3.]), rejected: tensor(&[1., 2.]) };
    let message = "expected chosen lengths in the shape of the log-probs [2], got [3]";
    check(chosen_nll(&two, &lengths), message);
    let ratios = LogRatios::new(&two, &two).unwrap();
    check(rdpo(&ratios, &lengths, 0.1, 0.1), message);
    for beta in [0.0, -1.0, f64::INFINITY] {
        check(dpo(&ratios, beta), &format!("expected beta to be a positive number, got {beta}"));
    }
    check(dpo(&ratios, f64::NAN), "expected beta to be a positive number, got NaN");
    check(cdpo(&ratios, 0.1, 0.5), "expected label_smoothing in [0, 0.5), got 0.5");
    check(robust_dpo(&ratios, 0.1, -0.1), "expected label_smoothing in [0, 0.5), got -0.1");
    check(exo_pair(&ratios, 0.1, 0.0), "expected label_smoothing above 0");
    check(cdpo_with_margin(&ratios, 0.1, f64::NAN, 0.0), "expected margin to be a finite number, got NaN");
    check(bco_pair(&ratios, 0.1, f64::INFINITY), "expected delta to be a finite number, got inf");
    check(discopop(&ratios, 0.1, 0.0), "expected tau to be a positive number, got 0");
    check(dpop(&ratios, 0.1, -1.0), "expected lambda to be 0 or a positive number, got -1");
    check(ratios.with_divergence(FDivergence::Alpha(f64::NAN)), "expected alpha to be a finite number");
    check(ratios.alphapo(f64::INFINITY), "expected alpha to be a finite number, got inf");
    check(ratios.rewards(0.0).map(|rewards| rewards.chosen), "expected beta to be a positive number, got 0");
    let lengths = PairLengths { chosen: tensor(&[1., 2.]), rejected: tensor(&[1., 2.]) };
    check(simpo(&two, &lengths, 2.0, -1.0, 0.0), "expected gamma to be 0 or a positive number, got -1");
    let bare = LogRatios { chosen: two.chosen.clone(), rejected: three.rejected.clone() };
    let message = "expected the rejected log-ratios in the shape of the chosen ones [2], got [3]";
    check(bare.difference(), message);
    check(dpo(&bare, 0.1), message);
    check(slic(&two, 1.0, -0.1), "expected reg to be 0 or a positive number, got -0.1");
}

#[test]
fn single_answers_and_scores() {
    let (two, three) = (tensor(&[1., 2.]), tensor(&[1., 2., 3.]));
    let kl = tensor(&[0.1]);
    check(kto(&two, &three, &kl, 0.1), "expected desirable in the shape of the answers [2], got [3]");
    check(kto(&two, &two, &two, 0.1), "expected kl to be one number, got [2]");
    check(bco(&two, &two, 0.1, f64::NAN), "expected delta to be a finite number, got NaN");
    check(
        kto_kl(&two, &three),
        "expected the reference's log-probs in the shape of the policy's [2], got [3]",
    );
    check(kto_kl(&tensor(&[]), &tensor(&[])), "at least one mismatched answer");
    check(desirability_weighted(&two, &two, -1.0, 1.0), "expected desirable_weight to be 0 or a positive");
    for probability in [-0.1, 1.1, f64::NAN] {
        let weights = density_ratio_weights(&tensor(&[0.5, probability]), &two, 0.5, 10.0);
        check(weights, &format!("expected probabilities in [0, 1], got {probability}"));
    }
    let two = tensor(&[0.5, 1.0]);
    check(density_ratio_weights(&two, &two, 2.0, 1.0), "expected min to be at most max, got 2 and 1");
    check(
        bradley_terry(&two, &three),
        "expected rejected scores in the shape of the chosen ones [2], got [3]",
    );
    check(bradley_terry_with_margin(&two, &two, &three), "expected margin in the shape of the scores [2]");
    check(reward_regression(&two, &three), "expected targets in the shape of the scores [2], got [3]");
    check(plackett_luce(&two, &two), "unexpected rank, expected: 2, got: 1");
}

#[test]
fn tokens() {
    let flat = tensor(&[-1., -2., -3.]);
    check(sequence_log_probs(&flat, &[0, 1], 2), "expected one sequence id per token [3], got 2");
    check(sequence_log_probs(&flat, &[0, 1, 2], 2), "expected sequence ids below 2, got 2");
    check(nll(&flat, &tensor(&[1., 0.])), "expected mask in the shape of the values [3], got [2]");
    check(masked_mean(&flat, &tensor(&[0., 0., 0.])), "counts at least one entry, got none");
    check(
        k3(&flat, &tensor(&[-1.])),
        "expected the reference's log-probs in the shape of the policy's [3], got [1]",
    );
    let sequences = Sequences::packed(&[0, 0, 1], 2, &Device::Cpu).unwrap();
    check(ld_log_probs(&flat, &sequences, &[1], 0.5), "expected one shared length per sequence [2], got 1");
    check(ld_log_probs(&flat, &sequences, &[1, 1], 1.5), "expected alpha in [0, 1], got 1.5");
    check(wpo_weights(&flat, &tensor(&[-1.]), &sequences), "expected log_sum_sq_probs in the shape of");
    check(wpo_weights(&tensor(&[-1.]), &tensor(&[-1.]), &sequences), "the sequences' tokens [3], got [1]");
}

#[test]
fn logits() {
    let logits = Tensor::zeros((1, 2, 5), DType::F32, &Device::Cpu).unwrap();
    let ids = |ids: [u32; 2]| Tensor::new(&[ids], &Device::Cpu).unwrap();
    let flat = tensor(&[-1., -2., -3.]);
    check(label_log_probs(&logits, &tensor(&[1.])), "expected labels [1, 2] for logits [1, 2, 5], got [1]");
    check(label_log_probs(&logits, &ids([1, 2]).to_dtype(DType::F32).unwrap()), "expected integer labels");
    check(
        label_smoothed_nll(&logits, &ids([1, 2]), &ids([1, 1]), 1.5),
        "expected epsilon in [0, 1], got 1.5",
    );
    check(label_smoothed_nll(&logits, &ids([1, 2]), &flat, 0.1), "expected mask in the shape of the labels");
    check(
        entropy(&Tensor::zeros((3, 0), DType::F32, &Device::Cpu).unwrap()),
        "expected logits [.., vocab], got [3, 0]",
    );
    check(generalized_jsd(&logits, &flat, 0.5, 1.0), "expected the teacher's logits in the shape of");
    check(generalized_jsd(&logits, &logits, 1.5, 1.0), "expected beta in [0, 1], got 1.5");
    check(generalized_jsd(&logits, &logits, 0.5, 0.0), "expected temperature to be a positive number, got 0");
    check(shifted_log_probs(&logits, &ids([1, 5])), "index");
    check(shifted_log_probs(&logits, &flat), "expected token ids [1, 2]");
    check(shift_mask(&Tensor::ones((3, 1), DType::U8, &Device::Cpu).unwrap()), "at least 2 tokens");
}
