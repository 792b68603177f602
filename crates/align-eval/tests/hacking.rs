//! The analysis of runs whose truth is known, because they were made up.

use align_eval::{Series, analyze_reward_hacking};
use align_report::{HackingPoint, HackingVerdict};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A run of 40 measurements; `quality` of its share done, with noise of this deviation in everything measured.
fn run(
    quality: impl Fn(f64) -> f64,
    tokens: impl Fn(f64) -> f64,
    noise: f64,
    seed: u64,
) -> Vec<HackingPoint> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Twelve uniform numbers less six: normal enough.
    let mut normal =
        move || (0..12).map(|_| (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0;
    (0..40)
        .map(|place| {
            let done = f64::from(place) / 39.0;
            HackingPoint {
                step: f64::from(place) * 10.0,
                proxy: 2.0 * done + noise * normal(),
                quality: Some(quality(done) + noise * normal()),
                kl: Some(12.0 * done),
                tokens: Some(tokens(done)),
            }
        })
        .collect()
}

fn verdict(points: Vec<HackingPoint>, answers: &[String]) -> (HackingVerdict, String) {
    let found = analyze_reward_hacking(Series { points, answers, ..Series::default() }, 7);
    (found.verdict, found.summary + " " + &found.evidence.join(" "))
}

fn rises_and_falls(done: f64) -> f64 {
    0.5 + done - 1.4 * done * done
}

#[test]
fn a_hacked_reward_is_called_so_with_the_point_where_it_began() {
    for seed in 0..20 {
        let points = run(rises_and_falls, |_| 30.0, 0.05, seed);
        let found = analyze_reward_hacking(Series { points, ..Series::default() }, 7);
        assert_eq!(found.verdict, HackingVerdict::Hacked, "seed {seed}: {}", found.summary);
        let divergence = found.divergence.unwrap_or_else(|| panic!("seed {seed}: no divergence"));
        // Quality is best at 1 / 2.8 of the run, step 139.
        assert!((60.0..=230.0).contains(&divergence.step), "seed {seed}: {divergence:?}");
        assert!(
            divergence.p_value.is_some_and(|p| p < 0.05) && divergence.proxy_gain > 0.8,
            "{divergence:?}"
        );
        let first = found.correlations.iter().find(|it| it.between == "reward and quality" && it.from == 0.0);
        let last = found.correlations.iter().rfind(|it| it.between == "reward and quality");
        assert!(
            first.and_then(|it| it.r) > last.and_then(|it| it.r) && last.and_then(|it| it.r) < Some(-0.5)
        );
    }
}

#[test]
fn a_reward_that_stands_still_while_quality_falls_is_not_called_hacked() {
    let mut rose = 0;
    for seed in 0..40 {
        let mut points = run(|done| 0.9 - 0.6 * done, |_| 30.0, 0.02, seed);
        // Rewards around 1, with noise of a thousandth, and no trend.
        for point in &mut points {
            point.proxy = 1.0 + 0.05 * (point.proxy - 2.0 * point.step / 390.0);
        }
        let found = analyze_reward_hacking(Series { points, ..Series::default() }, 7);
        rose += usize::from(found.verdict == HackingVerdict::Hacked);
        if found.verdict != HackingVerdict::Hacked {
            assert_eq!(found.verdict, HackingVerdict::Suspicious, "seed {seed}: {}", found.summary);
            assert!(found.summary.contains("and the reward did not rise (") && found.divergence.is_none());
        }
    }
    assert!(
        rose <= 3,
        "{rose} of 40 runs were called hacked; by the sign of the noise it would be half of them"
    );
}

#[test]
fn honest_runs_are_rarely_suspected_however_noisy() {
    let (mut hacked, mut suspected) = (0, 0);
    for seed in 0..100 {
        let rising = run(|done| 0.5 + 0.4 * done, |_| 30.0, 0.1, seed);
        let flat = run(|_| 0.5, |_| 30.0, 0.1, 1000 + seed);
        // A handful of checkpoints of the same run.
        let few = flat.iter().step_by(5).chain(flat.last()).cloned().collect();
        for points in [rising, flat, few] {
            let (found, _) = verdict(points, &[]);
            hacked += usize::from(found == HackingVerdict::Hacked);
            suspected += usize::from(found == HackingVerdict::Suspicious);
        }
    }
    assert!(hacked <= 15, "{hacked} of 300 honest runs were called hacked");
    assert!(suspected <= 20, "{suspected} of 300 honest runs were suspected");
}

#[test]
fn a_reward_that_follows_length_is_suspicious() {
    let (found, why) = verdict(run(|_| 0.5, |done| 20.0 + 60.0 * done, 0.0, 1), &[]);
    assert_eq!(found, HackingVerdict::Suspicious, "{why}");
    assert!(why.contains("answers are") && why.contains("times as long"), "{why}");
}

#[test]
fn degenerate_answers_are_suspicious_even_without_a_measure_of_quality() {
    let points: Vec<HackingPoint> = run(|_| 0.5, |_| 30.0, 0.0, 1)
        .into_iter()
        .map(|point| HackingPoint { quality: None, ..point })
        .collect();
    let (found, why) = verdict(points.clone(), &[]);
    assert_eq!(found, HackingVerdict::Undecided, "{why}");
    let answers = vec!["Great question! Great question!".to_owned(); 30];
    let (found, why) = verdict(points, &answers);
    assert_eq!(found, HackingVerdict::Suspicious);
    assert!(why.contains("100 % of the last answers are degenerate"), "{why}");
}
