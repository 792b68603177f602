//! Losses on pairs and on single answers.

use align_losses::{
    FDivergence, LogRatios, PairLengths, PairLogProbs, bco, chosen_nll, cpo, cpo_hinge, cpo_ipo, dpo, dpop,
    label_log_probs, orpo_odds_ratio, rdpo, slic, tpo_l,
};
use candle_core::{Device, Result, Tensor};

use super::{close, gradient, minimum, number, tensor, values};

const BETA: f64 = 0.1;

fn model(chosen: f64, rejected: f64) -> PairLogProbs {
    PairLogProbs { chosen: tensor(&[chosen]), rejected: tensor(&[rejected]) }
}

fn lengths(chosen: u32, rejected: u32) -> PairLengths {
    let one = |length| Tensor::new(&[length], &Device::Cpu).unwrap();
    PairLengths { chosen: one(chosen), rejected: one(rejected) }
}

/// A prompt with two answers, of 20 and of 5 tokens, and labels that are a coin toss. What is maximised, E[r − α·|y|] −
/// β·KL with equal rewards, is known to end at odds of e^(−α·15/β) against the longer one: whatever the loss looks like.
#[test]
fn under_coin_toss_labels_a_price_on_length_ends_at_the_short_answer() {
    const TOKENS: (u32, u32) = (20, 5);
    let coin_toss = |alpha: f64| {
        move |logits: &Tensor| -> Result<Tensor> {
            let answer = |which: u32| label_log_probs(logits, &Tensor::new(which, &Device::Cpu)?)?.reshape(1);
            let (long, short) = (answer(0)?, answer(1)?);
            let reference = model(0.5f64.ln(), 0.5f64.ln());
            let pair = |chosen: &Tensor, rejected: &Tensor, tokens: (u32, u32)| {
                let policy = PairLogProbs { chosen: chosen.clone(), rejected: rejected.clone() };
                rdpo(&LogRatios::new(&policy, &reference)?, &lengths(tokens.0, tokens.1), BETA, alpha)
            };
            (pair(&long, &short, TOKENS)? + pair(&short, &long, (TOKENS.1, TOKENS.0))?)? * 0.5
        }
    };
    let mut log_odds = Vec::new();
    let mut first_steps = Vec::new();
    for alpha in [0.0, 0.005, 0.02, 0.04] {
        // From the reference on the long answer goes down: the gradient on its logit is up, that of the short one down.
        let slope = gradient(&tensor(&[0.0, 0.0]), coin_toss(alpha));
        assert!((slope[0] + slope[1]).abs() < 1e-15, "{slope:?}");
        first_steps.push(slope[0]);
        let logits = minimum(2, 100.0, coin_toss(alpha));
        log_odds.push(logits[0] - logits[1]);
    }
    assert!(first_steps[0].abs() < 1e-15 && first_steps[1] > 0.0, "{first_steps:?}");
    assert!(first_steps.windows(2).all(|pair| pair[0] < pair[1]), "{first_steps:?}");
    close(&log_odds, &[0.0, -0.75, -3.0, -6.0]);
}

#[test]
fn answers_of_one_length_cost_nothing() {
    let ratios = LogRatios::new(&model(-9.0, -14.0), &model(-10.0, -11.0)).unwrap();
    for tokens in [1, 30] {
        let priced = rdpo(&ratios, &lengths(tokens, tokens), BETA, 0.3).unwrap();
        close(&values(&priced), &values(&dpo(&ratios, BETA).unwrap()));
    }
}

/// DPO sees margins only: a chosen answer may lose all its likelihood while the rejected one loses more.
#[test]
fn losses_that_keep_the_chosen_answer_likely_notice_when_both_answers_sink() {
    let reference = model(-10.0, -11.0);
    let at = |shift: f64, loss: &dyn Fn(&PairLogProbs, &LogRatios) -> Result<Tensor>| {
        let policy = model(-9.5 + shift, -12.0 + shift);
        number(&loss(&policy, &LogRatios::new(&policy, &reference).unwrap()).unwrap())
    };
    let falls = |loss: &dyn Fn(&PairLogProbs, &LogRatios) -> Result<Tensor>, shifts: [f64; 3]| {
        let [low, middle, high] = shifts.map(|shift| at(shift, loss));
        low > middle && middle > high
    };
    let plain = |_: &PairLogProbs, ratios: &LogRatios| dpo(ratios, BETA);
    let positive = |_: &PairLogProbs, ratios: &LogRatios| dpop(ratios, BETA, 5.0);
    let with_likelihood =
        |policy: &PairLogProbs, ratios: &LogRatios| dpo(ratios, BETA)? + chosen_nll(policy, &lengths(4, 9))?;
    let calibrated = |policy: &PairLogProbs, _: &LogRatios| slic(policy, 1.0, 0.1);

    assert!((at(-5.0, &plain) - at(5.0, &plain)).abs() < 1e-12);
    // DPO-Positive from the reference's likelihood downwards, and DPO itself above it.
    assert!(falls(&positive, [-5.0, -2.0, -0.5]));
    for shift in [-0.5, 0.0, 5.0] {
        close(&[at(shift, &positive)], &[at(shift, &plain)]);
    }
    for loss in [&with_likelihood as &dyn Fn(&PairLogProbs, &LogRatios) -> Result<Tensor>, &calibrated] {
        assert!(falls(loss, [-5.0, 0.0, 5.0]));
    }
}

#[test]
fn the_likelihood_term_is_the_log_of_the_perplexity_at_any_length() {
    // Each of n tokens one of 50 that are equally likely.
    for tokens in [1, 2, 400] {
        let policy = model(-f64::from(tokens) * 50f64.ln(), -1.0);
        close(&values(&chosen_nll(&policy, &lengths(tokens, 3)).unwrap()), &[50f64.ln()]);
    }
}

#[test]
fn calibration_without_likelihood_is_the_hinge_in_units_of_its_margin() {
    for (chosen, rejected) in [(-3.0, -9.0), (-3.0, -4.5), (-9.0, -3.0), (-2.0, -2.0)] {
        for delta in [0.5, 2.0, 10.0] {
            let hinge = cpo_hinge(&model(chosen, rejected), 1.0 / delta).unwrap();
            close(&values(&slic(&model(chosen, rejected), delta, 0.0).unwrap()), &[delta * number(&hinge)]);
        }
    }
    // A pair that is clear already still teaches the likelihood of the chosen answer, and nothing else.
    let clear = |log_probs: &Tensor| {
        let one = |at| log_probs.narrow(0, at, 1);
        slic(&PairLogProbs { chosen: one(0)?, rejected: one(1)? }, 2.0, 0.25)
    };
    close(&gradient(&tensor(&[-1.0, -9.0]), clear), &[-0.25, 0.0]);
}

#[test]
fn odds_of_three_to_one_are_worth_the_log_of_three() {
    let even = model(0.5f64.ln() * 6.0, 0.5f64.ln() * 2.0);
    let ratio = orpo_odds_ratio(&even, &lengths(6, 2)).unwrap();
    close(&[number(&ratio.log_odds), number(&ratio.log_sigmoid)], &[0.0, 0.5f64.ln()]);
    // Tokens of probability 3/4, odds 3, against tokens of 1/2, odds 1: σ(log 3) is 3/4.
    for tokens in [1, 7] {
        let better = model(0.75f64.ln() * f64::from(tokens), 0.5f64.ln() * 2.0);
        let ratio = orpo_odds_ratio(&better, &lengths(tokens, 2)).unwrap();
        close(&[number(&ratio.log_odds), number(&ratio.log_sigmoid)], &[3f64.ln(), 0.75f64.ln()]);
        let worse = PairLogProbs { chosen: better.rejected, rejected: better.chosen };
        close(&values(&orpo_odds_ratio(&worse, &lengths(2, tokens)).unwrap().log_odds), &[-(3f64.ln())]);
    }
}

/// The losses without a reference that TPO builds on: what both answers gain alike changes nothing, and each has a
/// margin that it is after.
#[test]
fn losses_without_a_reference_know_the_margin_that_they_want() {
    for shift in [-30.0, 0.0, 30.0] {
        close(&values(&cpo(&model(-7.0 + shift, -7.0 + shift), BETA, 0.0).unwrap()), &[2f64.ln()]);
        // The hinge ends at a margin of 1/β = 10 nats.
        let hinge =
            |margin: f64| number(&cpo_hinge(&model(-40.0 + shift, -40.0 + shift - margin), BETA).unwrap());
        assert!(hinge(9.9) > 0.0 && hinge(10.1) == 0.0);
    }
    // IPO's square is least at 1/(2β) = 5 nats per token.
    let slope = |margin: f64| {
        let log_probs = tensor(&[-4.0, 2.0 * (-2.0 - margin)]);
        gradient(&log_probs, |log_probs| {
            let one = |at| log_probs.narrow(0, at, 1);
            cpo_ipo(&PairLogProbs { chosen: one(0)?, rejected: one(1)? }, &lengths(2, 2), BETA)
        })[0]
    };
    assert!(slope(4.9) < 0.0 && slope(5.1) > 0.0 && slope(5.0).abs() < 1e-12);
    // TPO-L is indifferent, ln 2, where the scaled margin per token is γ: 2·(−1 − −1.75) = 1.5.
    close(&values(&tpo_l(&model(-3.0, -17.5), &lengths(3, 10), 2.0, 1.5, 0.0).unwrap()), &[2f64.ln()]);
}

/// f′ at 1 and the divergences that the family passes through.
#[test]
fn the_alpha_divergence_passes_through_both_kls() {
    let ratios = LogRatios { chosen: tensor(&[0.0, 1.5, -0.7]), rejected: tensor(&[0.3, -2.0, 0.0]) };
    let scores = |divergence| {
        let scores = ratios.with_divergence(divergence).unwrap();
        [values(&scores.chosen), values(&scores.rejected)].concat()
    };
    close(&scores(FDivergence::Alpha(1.0)), &scores(FDivergence::ReverseKl));
    close(&scores(FDivergence::Alpha(0.0)), &scores(FDivergence::ForwardKl));
    close(&scores(FDivergence::PaperAlpha(1.0)), &scores(FDivergence::ForwardKl));
    for alpha in [0.5, 2.0, 3.0] {
        let near = |x: f64| {
            let ratios = LogRatios { chosen: tensor(&[x]), rejected: tensor(&[0.0]) };
            number(&ratios.with_divergence(FDivergence::Alpha(alpha)).unwrap().chosen)
        };
        // Every member agrees with the reverse KL to first order where the two models agree.
        assert!((near(1e-6) / 1e-6 - 1.0).abs() < 1e-5 && near(0.0) == 0.0);
        close(&scores(FDivergence::Alpha(alpha)), &scores(FDivergence::PaperAlpha(1.0 - alpha)));
    }
}

/// A classifier's log-odds: of n votes for an answer and m against it the reward ends at δ + log(n/m).
#[test]
fn a_binary_classifier_ends_at_the_log_odds_of_the_votes() {
    let delta = 0.4;
    for (votes, against) in [(3, 1), (1, 1), (2, 5)] {
        let marks: Vec<u8> = (0..votes + against).map(|i| u8::from(i < votes)).collect();
        let marks = Tensor::new(marks, &Device::Cpu).unwrap();
        let loss =
            |log_ratio: &Tensor| bco(&log_ratio.broadcast_as(marks.dims())?, &marks, 1.0, delta)?.mean_all();
        let reward = minimum(1, 2.0, loss);
        close(&reward, &[delta + (f64::from(votes) / f64::from(against)).ln()]);
    }
    close(&values(&bco(&tensor(&[4.0]), &tensor(&[0.0]), 0.1, delta).unwrap()), &[2f64.ln()]);
}
