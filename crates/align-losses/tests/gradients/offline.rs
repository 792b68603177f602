//! Every offline loss at random points, at zero, at ties, at saturation; the likelihoods under masks.

use align_losses::{
    LogRatios, PairLogProbs, Sequences, bradley_terry, bradley_terry_with_margin, density_ratio_weights, dft,
    dpo, entropy, generalized_jsd, kto, kto_kl, label_log_probs, label_smoothed_nll, ld_log_probs,
    log_sum_sq_probs, masked_mean, nll, pairwise_ranking, plackett_luce, reward_centering, reward_regression,
    wpo_weights,
};
use align_testkit::assert_gradients;
use candle_core::{DType, Device, Result, Tensor, Var};

use crate::table::{PAIRED, UNPAIRED, lengths, model, tensor};

/// Of five-point differences in f64, which are this far off where the loss is 200 and its slope 10⁻⁵.
const TOLERANCE: f64 = 1e-6;

/// Policy's chosen and rejected log-probs, and the reference's: distinct log-ratios, away from corners.
fn points() -> [(&'static str, [Vec<f64>; 4]); 4] {
    let reference = [vec![-10.0, -11.0, -9.0, -8.5], vec![-9.5, -12.2, -10.7, -8.4]];
    let moved = |chosen: [f64; 4], rejected: [f64; 4]| {
        let add = |base: &[f64], by: [f64; 4]| base.iter().zip(by).map(|(x, y)| x + y).collect::<Vec<_>>();
        let policy = [add(&reference[0], chosen), add(&reference[1], rejected)];
        [policy[0].clone(), policy[1].clone(), reference[0].clone(), reference[1].clone()]
    };
    [
        ("random", moved([0.7, -1.2, 3.1, -0.4], [-0.9, 0.3, 1.5, -2.6])),
        ("policy = reference", moved([0.0; 4], [0.0; 4])),
        ("tie of chosen and rejected", moved([1.1, -0.6, 2.3, -4.0], [1.1, -0.6, 2.3, -4.0])),
        ("saturated", moved([200.0, -200.0, 90.0, -110.0], [-12.0, 20.0, -100.0, 130.0])),
    ]
}

#[test]
fn every_paired_loss() {
    for loss in &PAIRED {
        for (point, [chosen, rejected, reference_chosen, reference_rejected]) in points() {
            // Where the reference is left, sorted quantiles of equal values have corners too.
            let tied = point == "policy = reference" && (loss.corner || loss.name == "aot_unpaired");
            // At a log-prob above zero odds are undefined, and e^200 has no five-point difference.
            let out_of_reach =
                point == "saturated" && matches!(loss.name, "orpo_odds_ratio" | "forward KL" | "alpha 2");
            if tied || out_of_reach {
                continue;
            }
            let reference = model(&reference_chosen, &reference_rejected);
            let report = align_testkit::gradcheck(&[tensor(&chosen), tensor(&rejected)], |inputs| {
                let policy = PairLogProbs { chosen: inputs[0].clone(), rejected: inputs[1].clone() };
                (loss.losses)(&policy, &reference, &lengths(4))
            });
            let report = report.unwrap();
            assert!(report.relative <= TOLERANCE, "{} at {point}: {report}", loss.name);
        }
    }
}

#[test]
fn every_unpaired_loss() {
    let ratios = tensor(&[0.4, -1.3, 0.0, 0.0, 200.0, -200.0, 130.0, -90.0, 6.9, 7.1]);
    let desirable = Tensor::new(&[1u8, 0, 1, 0, 1, 1, 0, 0, 1, 0], &Device::Cpu).unwrap();
    for (name, losses) in UNPAIRED {
        let report =
            align_testkit::gradcheck(std::slice::from_ref(&ratios), |inputs| losses(&inputs[0], &desirable));
        let report = report.unwrap();
        assert!(report.relative <= TOLERANCE, "{name}: {report}");
    }
}

/// Where finite differences end: in f32 and f64, at log-probs from certain to impossible.
#[test]
fn nothing_is_nan_or_infinite_at_the_far_ends() {
    let ends = [0.0, -0.0, -1e-30, -1e-12, -1e-6, -0.7, -200.0, -2000.0];
    let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
    for a in ends {
        for b in ends {
            chosen.push(a);
            rejected.push(b);
        }
    }
    let zero = vec![0.0; chosen.len()];
    let swap = |model: PairLogProbs| PairLogProbs { chosen: model.rejected, rejected: model.chosen };
    let cases = [
        (model(&chosen, &rejected), model(&zero, &zero)),
        (swap(model(&chosen, &rejected)), model(&rejected, &rejected)),
        (model(&zero, &zero), model(&chosen, &rejected)),
    ];
    for dtype in [DType::F32, DType::F64] {
        for (policy, reference) in &cases {
            let [a, b] = [&policy.chosen, &policy.rejected]
                .map(|x| Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap());
            let policy = PairLogProbs { chosen: a.as_tensor().clone(), rejected: b.as_tensor().clone() };
            for loss in &PAIRED {
                let losses = (loss.losses)(&policy, reference, &lengths(zero.len())).unwrap();
                let grads = losses.sum_all().unwrap().backward().unwrap();
                for (what, tensor) in
                    [("value", Some(&losses)), ("chosen", grads.get(&a)), ("rejected", grads.get(&b))]
                {
                    let Some(tensor) = tensor else { continue };
                    let values = tensor.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
                    let bad = values.iter().position(|x| !x.is_finite());
                    assert_eq!(bad, None, "{} {what} {dtype:?}: {values:?}", loss.name);
                }
            }
        }
    }
}

#[test]
fn token_losses_under_masks() {
    let logits =
        Tensor::new(&[[0.2, -0.3, 1.0], [2.0, 2.0, 2.0], [-1.0, 40.0, 0.0], [3.0, 0.1, 0.1]], &Device::Cpu)
            .unwrap();
    let labels = Tensor::new(&[2i64, 0, -100, 1], &Device::Cpu).unwrap();
    let mask = labels.ge(0i64).unwrap();
    let safe = labels.maximum(0i64).unwrap();
    let check = |f: &dyn Fn(&Tensor) -> Result<Tensor>| {
        assert_gradients(std::slice::from_ref(&logits), TOLERANCE, |inputs| f(&inputs[0]));
    };
    check(&|logits| masked_mean(&nll(&label_log_probs(logits, &safe)?, &mask)?, &mask));
    check(&|logits| label_smoothed_nll(logits, &labels, &mask, 0.1));
    check(&entropy);
    check(&log_sum_sq_probs);
    let teacher =
        Tensor::new(&[[0.0, 0.0, 0.0], [5.0, -2.0, 0.3], [1.0, 1.0, -30.0], [3.0, 0.1, 0.1]], &Device::Cpu)
            .unwrap();
    for beta in [0.0, 0.1, 0.5, 0.9, 1.0] {
        check(&|logits| generalized_jsd(logits, &teacher, beta, 2.0));
    }
}

/// An entry that is masked out of the vocabulary of the student, of the teacher, of both.
#[test]
fn a_divergence_from_the_teacher_where_entries_are_masked_out() {
    const NO: f64 = f64::NEG_INFINITY;
    let rows = |rows: [[f64; 4]; 3]| Tensor::new(&rows, &Device::Cpu).unwrap();
    let of_both = [[0.2, NO, 1.0, -0.5], [NO, NO, 3.0, 40.0], [NO, NO, NO, 2.0]];
    let of_teacher = [[0.0, NO, 0.3, 2.0], [NO, NO, 1.0, -1.0], [NO, NO, NO, -1.0]];
    let of_student = [[0.2, 2.0, 1.0, NO], [1.0, NO, 200.0, -200.0], [NO, 2.0, 2.0, 2.0]];
    let (both, teacher, student) = (rows(of_both), rows(of_teacher), rows(of_student));
    for dtype in [DType::F64, DType::F32] {
        for (student, betas) in [(&both, [0.0, 0.3, 1.0]), (&student, [0.1, 0.5, 0.9])] {
            for beta in betas {
                let student = Var::from_tensor(&student.to_dtype(dtype).unwrap()).unwrap();
                let losses = generalized_jsd(&student, &teacher, beta, 1.0).unwrap();
                let grads = losses.sum_all().unwrap().backward().unwrap();
                let flat = |tensor: &Tensor| {
                    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
                };
                let (logits, slopes) = (flat(&student), flat(grads.get(&student).unwrap()));
                assert!(flat(&losses).iter().all(|loss| loss.is_finite()), "{beta} {losses}");
                assert!(slopes.iter().all(|slope| slope.is_finite()), "{beta} {slopes:?}");
                assert!(logits.iter().zip(&slopes).all(|(logit, slope)| *logit > NO || *slope == 0.0));
            }
        }
    }
    for beta in [0.1, 0.5, 0.9] {
        assert_gradients(std::slice::from_ref(&student), TOLERANCE, |logits| {
            generalized_jsd(&logits[0], &teacher, beta, 1.0)
        });
    }
    // It is the divergence over what is left: 0.2, 1.0, −0.5 against 0.0, 0.3, 2.0.
    let left = |tensor: &Tensor| {
        tensor.get(0).unwrap().index_select(&Tensor::new(&[0u32, 2, 3], &Device::Cpu).unwrap(), 0).unwrap()
    };
    for beta in [0.0, 0.3, 1.0] {
        let masked = generalized_jsd(&both, &teacher, beta, 1.0).unwrap().to_vec1::<f64>().unwrap()[0];
        let of_left = generalized_jsd(&left(&both), &left(&teacher), beta, 1.0).unwrap();
        assert!((masked - of_left.to_scalar::<f64>().unwrap()).abs() < 1e-14, "{beta}");
    }
    // What only the teacher says is infinitely far from a student who must never say it.
    let covering = generalized_jsd(&student, &teacher, 0.0, 1.0).unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(covering[0], f64::INFINITY);
}

#[test]
fn dft_holds_its_weight_constant() {
    let log_probs = Var::from_tensor(&tensor(&[-0.5, -3.0, 0.0, -200.0])).unwrap();
    let mask = Tensor::new(&[1u8, 1, 1, 0], &Device::Cpu).unwrap();
    let grads = dft(&log_probs, &mask).unwrap().sum_all().unwrap().backward().unwrap();
    let expected = [-f64::exp(-0.5), -f64::exp(-3.0), -1.0, 0.0];
    assert_eq!(grads.get(&log_probs).unwrap().to_vec1::<f64>().unwrap(), expected);
}

#[test]
fn scores_of_pairs_and_of_ranked_lists() {
    let pairs = [tensor(&[0.3, 0.0, 200.0, -200.0]), tensor(&[-0.4, 0.0, 0.0, 5.0])];
    let margin = tensor(&[0.5, 0.0, 1.0, 2.0]);
    assert_gradients(&pairs, TOLERANCE, |r| bradley_terry(&r[0], &r[1]));
    assert_gradients(&pairs, TOLERANCE, |r| bradley_terry_with_margin(&r[0], &r[1], &margin));
    assert_gradients(&pairs, TOLERANCE, |r| reward_centering(&r[0], &r[1]));
    assert_gradients(&pairs[..1], TOLERANCE, |r| reward_regression(&r[0], &margin));
    let lists =
        Tensor::new(&[[1.0, 0.5, -2.0], [0.0, 0.0, 0.0], [200.0, -200.0, 9.0]], &Device::Cpu).unwrap();
    let mask = Tensor::new(&[[1u8, 1, 1], [1, 1, 0], [0, 1, 1]], &Device::Cpu).unwrap();
    assert_gradients(std::slice::from_ref(&lists), TOLERANCE, |r| plackett_luce(&r[0], &mask));
    assert_gradients(&[lists], TOLERANCE, |r| pairwise_ranking(&r[0], &mask));
}

#[test]
fn length_desensitized_sums_packed_and_padded() {
    let packed = Sequences::packed(&[0, 1, 0, 0, 1], 2, &Device::Cpu).unwrap();
    assert_gradients(&[tensor(&[-1.0, -0.2, -3.0, 0.0, -200.0])], TOLERANCE, |inputs| {
        ld_log_probs(&inputs[0], &packed, &[2, 2], 0.3)
    });
    let mask = Tensor::new(&[[0u8, 1, 1, 1], [1, 1, 0, 0]], &Device::Cpu).unwrap();
    let padded = Sequences::padded(&mask).unwrap();
    let rows = Tensor::new(&[[-1.0, -0.2, -3.0, 0.0], [-200.0, -4.0, -5.0, -6.0]], &Device::Cpu).unwrap();
    assert_gradients(&[rows], TOLERANCE, |inputs| ld_log_probs(&inputs[0], &padded, &[2, 2], 0.0));
}

#[test]
fn dpo_gradient_is_half_beta_when_policy_equals_reference() {
    let same = model(&[-7.0], &[-9.0]);
    let chosen = Var::from_tensor(&same.chosen).unwrap();
    let policy = PairLogProbs { chosen: chosen.as_tensor().clone(), ..same.clone() };
    let loss = dpo(&LogRatios::new(&policy, &same).unwrap(), 0.3).unwrap();
    assert_eq!(loss.backward().unwrap().get(&chosen).unwrap().to_vec1::<f64>().unwrap(), [-0.15]);
}

#[test]
fn only_the_policy_and_only_the_losses_carry_a_gradient() {
    let [chosen, rejected] = [[-9.3, -12.0], [-10.8, -12.0]].map(|x| Var::from_tensor(&tensor(&x)).unwrap());
    let tracked = PairLogProbs { chosen: chosen.as_tensor().clone(), rejected: rejected.as_tensor().clone() };
    let fixed = model(&[-10.0, -10.0], &[-10.0, -11.0]);
    let rewards = LogRatios::new(&tracked, &fixed).unwrap().rewards(0.1).unwrap();
    for tensor in [rewards.chosen, rewards.rejected] {
        assert!(
            tensor.sum_all().unwrap().backward().unwrap().get(&chosen).is_none(),
            "a reward carries a gradient"
        );
    }
    for loss in &PAIRED {
        let losses = (loss.losses)(&fixed, &tracked, &lengths(2)).unwrap();
        let grads = losses.sum_all().unwrap().backward().unwrap();
        assert!(
            grads.get(&chosen).is_none() && grads.get(&rejected).is_none(),
            "{}: a reference's gradient",
            loss.name
        );
    }
}

#[test]
fn what_is_given_carries_no_gradient() {
    let given = Var::from_tensor(&tensor(&[0.25, 0.75])).unwrap();
    let (fixed, ones) = (tensor(&[-0.5, -3.0]), tensor(&[1.0, 1.0]));
    let sequences = Sequences::packed(&[0, 1], 2, &Device::Cpu).unwrap();
    let rows = |x: &Tensor| x.unsqueeze(0).unwrap();
    let results = [
        ("kl", kto(&fixed, &ones, &given.mean_all().unwrap(), 0.1)),
        ("mismatched answers", kto_kl(&given, &fixed)),
        ("teacher", generalized_jsd(&rows(&fixed), &rows(&given), 0.5, 1.0)),
        ("margin", bradley_terry_with_margin(&fixed, &ones, &given)),
        ("targets", reward_regression(&fixed, &given)),
        ("token log-probs as weights", wpo_weights(&given, &fixed, &sequences)),
        ("certainty as weights", wpo_weights(&fixed, &given, &sequences)),
        ("probabilities as weights", density_ratio_weights(&given, &ones, 0.5, 10.0)),
    ];
    for (what, result) in results {
        let grads = result.unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&given).is_none(), "{what} got a gradient");
    }
}
