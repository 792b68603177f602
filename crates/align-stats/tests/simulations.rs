//! The statistics against judges whose win probability is known, because it was chosen.

use align_stats::{
    Calibration, Lengths, WinRate, bootstrap_ci95, duplicate_rate, length_controlled, mean_ci95,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Uniform in [0, 1).
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// In how many of 1,000 simulations the interval of 200 comparisons holds the judge's true win rate; `ties` is the share
/// of comparisons that it cannot decide.
fn coverage(win_probability: f64, ties: f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let truth = ties / 2.0 + (1.0 - ties) * win_probability;
    let covered = (0..1000).filter(|&seed| {
        let verdict = |rng: &mut ChaCha8Rng| {
            if unit(rng) < ties { 0.5 } else { f64::from(u8::from(unit(rng) < win_probability)) }
        };
        let preferences: Vec<f64> = (0..200).map(|_| verdict(&mut rng)).collect();
        let [low, high] = WinRate::of(&preferences, seed).map_or([1.0, 0.0], |rate| rate.ci95);
        low <= truth && truth <= high
    });
    covered.count() as f64 / 1000.0
}

#[test]
fn the_interval_covers_the_truth_as_often_as_it_says() {
    for (win_probability, ties) in [(0.5, 0.0), (0.65, 0.0), (0.6, 0.3)] {
        let found = coverage(win_probability, ties);
        assert!((0.93..=0.97).contains(&found), "{found} at {win_probability} with {ties} ties");
    }
}

/// Simulations where it is plain what comes out.
const FEWER: u64 = 300;

/// The same with four answers to each of 100 prompts, some of which suit the model and some of which do not; also the
/// coverage of an interval that takes every answer for news.
fn coverage_of_repeated_prompts() -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let (mut whole, mut naive) = (0, 0);
    for seed in 0..1000u64 {
        let prompt = |rng: &mut ChaCha8Rng| -> Vec<f64> {
            let suits = 0.1 + 0.8 * unit(rng);
            (0..4).map(|_| f64::from(u8::from(unit(rng) < suits))).collect()
        };
        let prompts: Vec<Vec<f64>> = (0..100).map(|_| prompt(&mut rng)).collect();
        let sums: Vec<(f64, f64)> = prompts.iter().map(|answers| (answers.iter().sum(), 4.0)).collect();
        let holds = |[low, high]: [f64; 2]| usize::from(low <= 0.5 && 0.5 <= high);
        whole += holds(bootstrap_ci95(&sums, seed));
        if seed < FEWER {
            naive += holds(mean_ci95(&prompts.concat(), seed));
        }
    }
    (whole as f64 / 1000.0, naive as f64 / FEWER as f64)
}

#[test]
fn several_answers_per_prompt_are_not_taken_for_as_many_prompts() {
    let (whole, naive) = coverage_of_repeated_prompts();
    assert!((0.93..=0.97).contains(&whole), "{whole}");
    assert!(naive < 0.91, "answers to one prompt are alike, which this judge must show: {naive}");
}

#[test]
fn equal_models_are_called_different_no_more_often_than_the_test_allows() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let significant = (0..1000).filter(|_| {
        let wins = (0..200).filter(|_| unit(&mut rng) < 0.5).count();
        align_stats::sign_test(wins, 200 - wins) < 0.05
    });
    let share = significant.count() as f64 / 1000.0;
    assert!((0.02..=0.05).contains(&share), "{share}");
}

/// Answers of a baseline: between 20 and 60 words.
fn length(rng: &mut ChaCha8Rng) -> f64 {
    20.0 + 40.0 * unit(rng)
}

/// Whether the first of two answers is preferred by a judge who adds to their difference in quality what their
/// difference in length is worth to it.
fn judge(rng: &mut ChaCha8Rng, quality: f64, longer: f64, per_word: f64) -> f64 {
    f64::from(u8::from(unit(rng) < sigmoid(quality + per_word * longer)))
}

/// A model's comparisons with the baseline and the control's: 400 of each.
fn compared(quality: f64, per_word: f64, model: impl Fn(&mut ChaCha8Rng) -> f64) -> [Vec<f64>; 4] {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut found: [Vec<f64>; 4] = Default::default();
    for _ in 0..400 {
        let longer = model(&mut rng) - length(&mut rng);
        found[0].push(judge(&mut rng, quality, longer, per_word));
        found[1].push(longer);
        let longer = length(&mut rng) - length(&mut rng);
        found[2].push(judge(&mut rng, 0.0, longer, per_word));
        found[3].push(longer);
    }
    found
}

/// The plain and the length-controlled win rate.
fn rates(found: &[Vec<f64>; 4], is_controlled: bool) -> (f64, f64, [f64; 2]) {
    let [preferences, differences, control, control_differences] = found;
    let prompts: Vec<usize> = (0..preferences.len()).collect();
    let control = Lengths { preferences: control, differences: control_differences, prompts: &prompts };
    let lengths = [Lengths { preferences, differences, prompts: &prompts }];
    let controlled = length_controlled(&lengths, is_controlled.then_some(control), 5);
    let plain = preferences.iter().sum::<f64>() / preferences.len() as f64;
    (plain, controlled.win_rates[0], controlled.ci95[0])
}

#[test]
fn a_length_biased_judge_is_exposed() {
    // No better than the baseline, 15 words longer, and length is all the judge looks at.
    let found = compared(0.0, 0.1, |rng| length(rng) + 15.0);
    let (plain, controlled, [low, high]) = rates(&found, true);
    assert!(plain > 0.7, "{plain}");
    assert!((controlled - 0.5).abs() < 0.07 && low < 0.5 && 0.5 < high, "{controlled} {low} {high}");
}

#[test]
fn a_better_model_keeps_its_win_rate_when_length_is_controlled() {
    let truth = sigmoid(0.8);
    let found = compared(0.8, 0.05, |rng| length(rng) - 10.0);
    let (plain, controlled, [low, high]) = rates(&found, true);
    assert!(plain < truth - 0.05, "shorter answers cost it wins: {plain}");
    assert!((controlled - truth).abs() < 0.06 && low < truth && truth < high, "{controlled} of {truth}");
}

#[test]
fn a_constant_answer_that_wins_by_its_length_is_exposed_by_the_control() {
    // The same 70 words to every prompt: longer than anything the baseline says, and the judge takes the longer.
    let found = compared(0.0, 10.0, |_| 70.0);
    assert_eq!(duplicate_rate(&vec![vec!["yes"; 70]; 400]), 399.0 / 400.0);
    let (plain, controlled, _) = rates(&found, true);
    assert_eq!(plain, 1.0);
    assert!((controlled - 0.5).abs() < 0.07, "{controlled}");
}

#[test]
fn a_better_answer_that_happens_to_be_long_is_not_denied_its_wins_thanks_to_the_control() {
    // Always longer and always better, and the judge does not care for length.
    let found = compared(2.0, 0.0, |_| 70.0);
    let (plain, controlled, [low, high]) = rates(&found, true);
    assert!((controlled - plain).abs() < 0.05 && low < plain && plain < high, "{controlled} of {plain}");
    let (_, without, _) = rates(&found, false);
    assert!(without < controlled - 0.03, "nothing else could tell its wins from its length: {without}");
}

#[test]
fn a_judge_that_prefers_a_place_is_exposed_by_asking_twice() {
    // It takes the first answer in eight of ten cases, whatever it says; the model is shown first.
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let first = |rng: &mut ChaCha8Rng| f64::from(u8::from(unit(rng) < 0.8));
    let (mut fooled, mut found_out) = (0, 0);
    for seed in 0..60 {
        let once: Vec<f64> = (0..200).map(|_| first(&mut rng)).collect();
        let twice: Vec<f64> = once.iter().map(|before| (before + 1.0 - first(&mut rng)) / 2.0).collect();
        let holds_half = |preferences: &[f64]| {
            WinRate::of(preferences, seed).is_some_and(|rate| rate.ci95[0] < 0.5 && 0.5 < rate.ci95[1])
        };
        fooled += usize::from(!holds_half(&once));
        found_out += usize::from(holds_half(&twice));
    }
    assert!(fooled == 60 && found_out >= 54, "{fooled} {found_out}");
}

/// Margins of 300 pairs whose model is right with the probability σ(m); what it says is `scale` times as much.
fn margins(scale: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..300)
        .map(|_| {
            let margin = 6.0 * unit(rng);
            if unit(rng) < sigmoid(margin) { scale * margin } else { -scale * margin }
        })
        .collect()
}

#[test]
fn a_calibrated_model_is_not_called_miscalibrated_and_one_that_is_too_sure_is() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut of = |scale: f64| -> Vec<Calibration> {
        (0..100).map(|seed| Calibration::new(&margins(scale, &mut rng), seed)).collect()
    };
    let share_shown = |found: &[Calibration]| {
        found.iter().filter(|it| it.ece_p_value < 0.05).count() as f64 / found.len() as f64
    };
    let mean = |found: &[Calibration], of: fn(&Calibration) -> f64| {
        found.iter().map(of).sum::<f64>() / found.len() as f64
    };
    let calibrated = of(1.0);
    let (found, expected) = (mean(&calibrated, |it| it.ece), mean(&calibrated, |it| it.ece_if_calibrated));
    assert!(found > 0.02 && (found - expected).abs() < 0.002, "{found} for {expected}: not 0, and foreseen");
    assert!(share_shown(&calibrated) < 0.1, "{}", share_shown(&calibrated));
    assert!(share_shown(&of(3.0)) > 0.9);
}
