//! Losses of reward models.

use align_losses::{pairwise_ranking, plackett_luce, reward_regression};
use candle_core::Tensor;

use super::{close, gradient, minimum, number, tensor};

const SCORES: [f64; 4] = [0.7, -1.2, 0.1, 2.5];

type Ranking = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

/// The loss of one list, best first.
fn of(ranking: Ranking, scores: &[f64]) -> f64 {
    let list = tensor(scores).unsqueeze(0).unwrap();
    number(&ranking(&list, &list.ones_like().unwrap()).unwrap())
}

/// All orders of a list.
fn orders(scores: &[f64]) -> Vec<Vec<f64>> {
    if scores.is_empty() {
        return vec![Vec::new()];
    }
    let first = |i: usize| {
        let mut rest = scores.to_vec();
        let first = rest.remove(i);
        orders(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    (0..scores.len()).flat_map(first).collect()
}

#[test]
fn the_probabilities_of_all_orders_add_up_to_one() {
    let orders = orders(&SCORES);
    assert_eq!(orders.len(), 24);
    let probabilities: Vec<f64> = orders.iter().map(|order| (-of(plackett_luce, order)).exp()).collect();
    close(&[probabilities.iter().sum()], &[1.0]);
    // The likeliest order is the one by score.
    let likeliest = probabilities.iter().copied().fold(0.0, f64::max);
    close(&[likeliest], &[(-of(plackett_luce, &[2.5, 0.7, 0.1, -1.2])).exp()]);
    close(&[of(plackett_luce, &[3.0; 4])], &[24f64.ln()]);
}

/// −log σ(z) and −log σ(−z) differ by −z: so do a list and the list turned round, by the mean over its pairs.
#[test]
fn a_list_turned_round_costs_the_mean_of_its_margins() {
    let turned: Vec<f64> = SCORES.iter().rev().copied().collect();
    let margins = (0..4).flat_map(|i| (i + 1..4).map(move |j| SCORES[i] - SCORES[j]));
    let mean = margins.sum::<f64>() / 6.0;
    close(&[of(pairwise_ranking, &SCORES) - of(pairwise_ranking, &turned)], &[-mean]);
    close(&[of(pairwise_ranking, &[-5.0; 3])], &[2f64.ln()]);
    for ranking in [pairwise_ranking, plackett_luce] {
        close(&[of(ranking, &SCORES.map(|score| score + 40.0))], &[of(ranking, &SCORES)]);
        // Neighbours that stand as they should and are exchanged.
        assert!(of(ranking, &[2.5, 0.7, 0.1, -1.2]) < of(ranking, &[0.7, 2.5, 0.1, -1.2]));
    }
}

#[test]
fn regression_ends_at_the_mean_of_what_an_answer_was_given() {
    let grades = tensor(&[4.0, 1.0, 1.0, 3.0]);
    let loss = |score: &Tensor| reward_regression(&score.broadcast_as(4)?, &grades)?.mean_all();
    close(&minimum(1, 0.4, loss), &[2.25]);
    assert!(gradient(&tensor(&[3.0]), loss)[0] > 0.0);
}
