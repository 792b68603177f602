//! Laws of the losses on pairs, on single answers and on rankings, over the whole table.

use align_losses::{
    LogRatios, PairLengths, PairLogProbs, RunningMoments, Sequences, bradley_terry, cdpo, chosen_nll,
    desirability_weighted, dft, dpo, generalized_jsd, kto_kl, label_smoothed_nll, ld_log_probs, nll,
    pairwise_ranking, plackett_luce, wpo_weights,
};
use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;

use crate::table::{BETA, PAIRED, UNPAIRED, lengths, model, tensor};
use crate::{fixed, values};

/// Per pair: policy chosen, policy rejected, reference chosen, reference rejected.
type Pair = (f64, f64, f64, f64);

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let log_prob = || -300.0..0.0f64;
    prop::collection::vec((log_prob(), log_prob(), log_prob(), log_prob()), 1..8)
}

fn models(pairs: &[Pair]) -> (PairLogProbs, PairLogProbs) {
    let column = |pick: fn(&Pair) -> f64| pairs.iter().map(pick).collect::<Vec<_>>();
    (model(&column(|p| p.0), &column(|p| p.1)), model(&column(|p| p.2), &column(|p| p.3)))
}

fn exchanged(model: PairLogProbs) -> PairLogProbs {
    PairLogProbs { chosen: model.rejected, rejected: model.chosen }
}

/// The lengths of rows turned like the pairs.
fn turned(lengths: &PairLengths, by: usize) -> PairLengths {
    let turn = |x: &Tensor| {
        let mut values = x.to_vec1::<u32>().unwrap();
        values.rotate_left(by);
        Tensor::new(values, x.device()).unwrap()
    };
    PairLengths { chosen: turn(&lengths.chosen), rejected: turn(&lengths.rejected) }
}

fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-11 * b.abs().max(1.0), "{name}: {found:?} is not {expected:?}");
    }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn reordering_pairs_reorders_losses_and_changes_nothing_else(pairs in pairs(), turn in 0usize..8) {
        let turn = turn % pairs.len();
        let mut moved = pairs.clone();
        moved.rotate_left(turn);
        let ((policy, reference), (moved_policy, moved_reference)) = (models(&pairs), models(&moved));
        let (lengths, moved_lengths) = (lengths(pairs.len()), turned(&lengths(pairs.len()), turn));
        for loss in &PAIRED {
            let mut expected = values(&(loss.losses)(&policy, &reference, &lengths).unwrap());
            let found = values(&(loss.losses)(&moved_policy, &moved_reference, &moved_lengths).unwrap());
            if loss.by_pair {
                expected.rotate_left(turn);
            }
            prop_assert_eq!(found, expected, "{}", loss.name);
        }
    }

    #[test]
    fn a_larger_margin_never_costs_more(pairs in pairs(), by in 0.0..50.0f64) {
        let (policy, reference) = models(&pairs);
        let better = [
            PairLogProbs { chosen: (&policy.chosen + by).unwrap().minimum(0f64).unwrap(), ..policy.clone() },
            PairLogProbs { rejected: (&policy.rejected - by).unwrap(), ..policy.clone() },
        ];
        let lengths = lengths(pairs.len());
        for loss in PAIRED.iter().filter(|loss| loss.monotone) {
            let before = values(&(loss.losses)(&policy, &reference, &lengths).unwrap());
            for better in &better {
                let after = values(&(loss.losses)(better, &reference, &lengths).unwrap());
                for (after, before) in after.iter().zip(&before) {
                    prop_assert!(*after <= before + 1e-12 * before.abs(), "{}: {} > {}", loss.name, after, before);
                }
            }
        }
    }

    #[test]
    fn exchanging_chosen_and_rejected_costs_the_margin(pairs in pairs()) {
        let (policy, reference) = models(&pairs);
        let margins = (LogRatios::new(&policy, &reference).unwrap().difference().unwrap() * -BETA).unwrap();
        let (other, other_reference) = (exchanged(policy.clone()), exchanged(reference.clone()));
        let lengths = lengths(pairs.len());
        for loss in PAIRED.iter().filter(|loss| loss.antisymmetric) {
            // −log σ(z) − (−log σ(−z)) = −z
            let straight = (loss.losses)(&policy, &reference, &lengths).unwrap();
            let flipped = (loss.losses)(&other, &other_reference, &lengths).unwrap();
            assert_close(loss.name, &values(&(straight - flipped).unwrap()), &values(&margins));
        }
    }

    #[test]
    fn cdpo_is_the_expected_dpo_under_flipped_labels(pairs in pairs(), smoothing in 0.0..0.499f64) {
        let (policy, reference) = models(&pairs);
        let straight = LogRatios::new(&policy, &reference).unwrap();
        let flipped = LogRatios { chosen: straight.rejected.clone(), rejected: straight.chosen.clone() };
        let expected = ((dpo(&straight, BETA).unwrap() * (1.0 - smoothing)).unwrap()
            + (dpo(&flipped, BETA).unwrap() * smoothing).unwrap()).unwrap();
        assert_close("cdpo", &values(&cdpo(&straight, BETA, smoothing).unwrap()), &values(&expected));
    }

    #[test]
    fn each_answer_without_a_partner_is_judged_alone(ratios in prop::collection::vec(-60.0..60.0f64, 1..9), turn in 0usize..9) {
        let desirable: Vec<u8> = ratios.iter().map(|r| u8::from(r.to_bits() % 2 == 0)).collect();
        let turn = turn % ratios.len();
        let (mut moved, mut moved_desirable) = (ratios.clone(), desirable.clone());
        moved.rotate_left(turn);
        moved_desirable.rotate_left(turn);
        let mask = |marks: &[u8]| Tensor::new(marks, &Device::Cpu).unwrap();
        let contrary: Vec<u8> = desirable.iter().map(|mark| 1 - mark).collect();
        for (name, losses) in UNPAIRED {
            let mut expected = values(&losses(&tensor(&ratios), &mask(&desirable)).unwrap());
            let raised = tensor(&ratios.iter().map(|r| r + 1.0).collect::<Vec<_>>());
            for ((after, before), mark) in values(&losses(&raised, &mask(&desirable)).unwrap()).iter().zip(&expected).zip(&desirable) {
                prop_assert!(if *mark == 1 { after <= before } else { after >= before }, "{}", name);
            }
            if name.starts_with("kto") || name.starts_with("apo") {
                let other = losses(&tensor(&ratios), &mask(&contrary)).unwrap();
                let sum = (other + tensor(&expected)).unwrap();
                assert_close(name, &values(&sum), &vec![1.0; ratios.len()]);
            }
            expected.rotate_left(turn);
            prop_assert_eq!(values(&losses(&tensor(&moved), &mask(&moved_desirable)).unwrap()), expected, "{}", name);
        }
    }

    #[test]
    fn a_ranking_of_two_is_bradley_terry_and_padding_a_list_changes_nothing(
        scores in prop::collection::vec(-200.0..200.0f64, 2..6), filler in prop::sample::select(vec![0.0, 1e9, f64::NAN, f64::INFINITY]),
    ) {
        let row = |scores: &[f64]| tensor(scores).unsqueeze(0).unwrap();
        let padded: Vec<f64> = scores.iter().copied().chain([filler, filler]).collect();
        let mask: Vec<f64> = scores.iter().map(|_| 1.0).chain([0.0, 0.0]).collect();
        for ranking in [plackett_luce, pairwise_ranking] {
            let list = row(&scores);
            let alone = values(&ranking(&list, &list.ones_like().unwrap()).unwrap());
            assert_close("padded", &values(&ranking(&row(&padded), &row(&mask)).unwrap()), &alone);
            let two = row(&scores[..2]);
            let pair = bradley_terry(&tensor(&scores[..1]), &tensor(&scores[1..2])).unwrap();
            assert_close("two", &values(&ranking(&two, &two.ones_like().unwrap()).unwrap()), &values(&pair));
        }
    }

    #[test]
    fn running_moments_are_those_of_everything_seen(batches in prop::collection::vec(prop::collection::vec(-50.0..50.0f64, 1..6), 2..6)) {
        let mut running = RunningMoments::default();
        batches.iter().for_each(|batch| running.update(batch));
        let all: Vec<f64> = batches.concat();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
        assert_close("moments", &[running.mean, running.var, running.std],
            &[mean, squares / all.len() as f64, (squares / (all.len() - 1) as f64).sqrt()]);
    }

    #[test]
    fn divergences_of_distributions_are_never_negative_and_symmetric_at_one_half(
        student in prop::collection::vec(-30.0..30.0f64, 4), teacher in prop::collection::vec(-30.0..30.0f64, 4), beta in 0.0..1.0f64,
    ) {
        let (student, teacher) = (tensor(&student).unsqueeze(0).unwrap(), tensor(&teacher).unsqueeze(0).unwrap());
        let jsd = |a: &Tensor, b: &Tensor, beta| values(&generalized_jsd(a, b, beta, 1.0).unwrap());
        prop_assert!(jsd(&student, &teacher, beta)[0] >= -1e-12);
        assert_close("itself", &jsd(&student, &student, beta), &[0.0]);
        assert_close("symmetric", &jsd(&student, &teacher, 0.5), &jsd(&teacher, &student, 0.5));
        assert_close("exchanged", &jsd(&student, &teacher, beta), &jsd(&teacher, &student, 1.0 - beta));
    }
}

#[test]
fn half_precision_is_computed_in_f32() {
    // Numbers that f16 and bf16 both hold.
    let (policy, reference) =
        (model(&[-9.0, -100.5], &[-10.0, -101.0]), model(&[-8.5, -99.0], &[-10.5, -96.0]));
    let cast = |model: &PairLogProbs, dtype| PairLogProbs {
        chosen: model.chosen.to_dtype(dtype).unwrap(),
        rejected: model.rejected.to_dtype(dtype).unwrap(),
    };
    let mask = Tensor::new(&[1u8, 0], &Device::Cpu).unwrap();
    for dtype in [DType::F16, DType::BF16] {
        for loss in &PAIRED {
            let run =
                |dtype| (loss.losses)(&cast(&policy, dtype), &cast(&reference, dtype), &lengths(2)).unwrap();
            assert_eq!(run(dtype).dtype(), DType::F32, "{}", loss.name);
            assert_eq!(values(&run(dtype)), values(&run(DType::F32)), "{}", loss.name);
        }
        for (name, losses) in UNPAIRED {
            let run = |dtype| losses(&policy.chosen.to_dtype(dtype).unwrap(), &mask).unwrap();
            assert_eq!(
                (run(dtype).dtype(), values(&run(dtype))),
                (DType::F32, values(&run(DType::F32))),
                "{name}"
            );
        }
        let logits = Tensor::new(&[[0.5, -1.0], [2.0, 0.25]], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let found = generalized_jsd(&logits, &logits, 0.5, 1.0).unwrap();
        assert_eq!(found.dtype(), DType::F32);
        assert_eq!(dft(&policy.chosen.to_dtype(dtype).unwrap(), &mask).unwrap().dtype(), DType::F32);
    }
}

/// Sequences of 1 and of 8192 tokens beside an empty one, with NaN in what does not count.
#[test]
fn weights_of_answers_at_every_length_ignore_what_is_masked_out() {
    let width = 8192;
    let mut log_probs = vec![-0.5; width];
    log_probs.extend([vec![-2.0], vec![f64::NAN; width - 1], vec![f64::NAN; width]].concat());
    let mask: Vec<u8> = log_probs.iter().map(|x| u8::from(!x.is_nan())).collect();
    let shape = (3, width);
    let log_probs = tensor(&log_probs).reshape(shape).unwrap();
    let sequences =
        Sequences::padded(&Tensor::new(mask, &Device::Cpu).unwrap().reshape(shape).unwrap()).unwrap();
    let weights = wpo_weights(&log_probs, &(&log_probs - 0.25).unwrap(), &sequences).unwrap();
    assert_close("wpo", &values(&weights), &[0.25f64.exp(), 0.25f64.exp(), 1.0]);
    let sums = |alpha| values(&ld_log_probs(&log_probs, &sequences, &[1, 1, 0], alpha).unwrap());
    assert_close("ld, all", &sums(1.0), &values(&sequences.sums(&log_probs).unwrap()));
    assert_close("ld, none", &sums(0.0), &[-0.5, -2.0, 0.0]);
    assert_close("ld, part", &sums(0.5), &[-0.5 - 0.5 * 0.5 * 8191.0, -2.0, 0.0]);
}

#[test]
fn masked_logits_may_be_nan_under_label_smoothing() {
    let logits = candle_core::Var::new(&[[1.0, 2.0], [f64::NAN, f64::INFINITY]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[1i64, -100], &Device::Cpu).unwrap();
    let losses = label_smoothed_nll(&logits, &labels, &labels.ge(0i64).unwrap(), 0.0).unwrap();
    assert_close("loss", &values(&losses), &[(1.0 + f64::exp(-1.0)).ln(), 0.0]);
    let grads = losses.sum_all().unwrap().backward().unwrap();
    let grad = grads.get(&logits).unwrap().to_vec2::<f64>().unwrap();
    assert!(grad[0][0] > 0.26 && grad[1] == [0.0, 0.0], "{grad:?}");
}

#[test]
fn weights_multiply_and_the_reference_point_is_never_negative() {
    let (losses, desirable) = (tensor(&[0.5, 0.25]), Tensor::new(&[1u8, 0], &Device::Cpu).unwrap());
    let weighted = desirability_weighted(&losses, &desirable, 1.5, 4.0).unwrap();
    assert_eq!(values(&weighted), [0.75, 1.0]);
    let kl = |policy: f64| {
        kto_kl(&tensor(&[policy, -2.0]), &tensor(&[-2.0, -2.0])).unwrap().to_scalar::<f64>().unwrap()
    };
    assert_eq!((kl(-1.0), kl(-5.0)), (0.5, 0.0));
}

#[test]
fn the_likelihood_of_chosen_answers_counts_pairs_not_tokens() {
    let policy = model(&[-6.0, -6.0], &[-1.0, -1.0]);
    let lengths = PairLengths {
        chosen: Tensor::new(&[3u32, 0], &Device::Cpu).unwrap(),
        rejected: Tensor::new(&[1u32, 1], &Device::Cpu).unwrap(),
    };
    // An empty completion counts as one token.
    assert_eq!(values(&chosen_nll(&policy, &lengths).unwrap()), [2.0, 6.0]);
    let ones = tensor(&[1.0, 1.0]);
    assert_eq!(values(&nll(&policy.chosen, &ones).unwrap()), [6.0, 6.0]);
}
