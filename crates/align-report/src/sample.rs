//! A made-up report for tests: every section, and texts that would break out of a careless page.

use std::collections::BTreeMap;

use crate::*;

/// What must never reach a page unescaped.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'&|`*_";

pub(crate) fn wins(rate: f64) -> WinRate {
    WinRate {
        wins: (100.0 * rate) as usize,
        ties: 0,
        losses: 100 - (100.0 * rate) as usize,
        rate,
        ci95: [rate - 0.08, rate + 0.08],
        p_value: Some(0.0004),
        length_controlled: Some(rate - 0.02),
        length_controlled_ci95: Some([rate - 0.1, rate + 0.07]),
        order_consistency: Some(0.9),
    }
}

fn model(name: &str, rate: f64, kl: f64) -> ModelFigures {
    ModelFigures {
        name: name.to_owned(),
        path: format!("runs/{name}"),
        win_rate: Some(wins(rate)),
        reward: Some(RewardFigures {
            mean: 2.0 * rate,
            std: 1.0,
            ci95: [2.0 * rate - 0.2, 2.0 * rate + 0.2],
            length_correlation: Some(0.1),
        }),
        kl_per_sequence: Some(kl),
        kl_ci95: Some([kl - 0.5, kl + 0.5]),
        kl_per_token: Some(kl / 30.0),
        perplexity: Some(3.2),
        distinct_1: Some(0.21),
        distinct_2: Some(0.6),
        duplicate_rate: Some(0.05),
        mean_tokens: Some(31.5),
        truncated_rate: Some(0.0),
        refusal_rate: Some(0.2),
        prompt_sets: vec![PromptSet {
            name: "safety".to_owned(),
            prompts: 40,
            win_rate: Some(wins(rate)),
            longer_wins: Some(0.45),
            constant_answer: Some(0.2),
            reward: None,
            refusal_rate: Some(0.9),
        }],
        train_seconds: Some(83.9),
        peak_memory_mb: Some(222.0),
    }
}

/// So many prompts, each with an answer of each of three models.
pub(crate) fn samples(count: usize, text: &str) -> Vec<Sample> {
    let answer = |model: &str, place: usize, verdict| Answer {
        model: model.to_owned(),
        text: format!("{place} {model}: {text}"),
        tokens: 20 + place % 17,
        reward: Some((place % 13) as f64 / 5.0 - 1.0),
        verdict,
        reason: None,
    };
    let sample = |place: usize| Sample {
        prompt: format!("{place}. {text}"),
        tags: vec![
            if place.is_multiple_of(5) { "safety" } else { "helpfulness" }.to_owned(),
            "how-to".to_owned(),
        ],
        number: 0,
        answers: vec![
            answer("sft", place, None),
            answer("dpo", place, Some(if place.is_multiple_of(3) { Verdict::Loss } else { Verdict::Win })),
            answer("ppo", place, Some(if place.is_multiple_of(2) { Verdict::Tie } else { Verdict::Win })),
        ],
    };
    (0..count).map(sample).collect()
}

pub(crate) fn comparison() -> Comparison {
    Comparison {
        baseline: "sft".to_owned(),
        judge: Judge {
            kind: "rule".to_owned(),
            name: "the world's judge".to_owned(),
            note: HOSTILE.to_owned(),
        },
        prompt_source: "fixtures/data/prompts".to_owned(),
        prompts: 200,
        answers_per_prompt: 1,
        sampling: "temperature 0.7, seed 42".to_owned(),
        reward_source: Some("tiny-reward".to_owned()),
        models: vec![model("sft", 0.5, 0.0), model("dpo", 0.71, 0.9), model("ppo", 0.66, 4.2)],
        baselines: vec![Baseline {
            name: "longer wins".to_owned(),
            model: Some("dpo".to_owned()),
            value: 0.52,
            reward: Some(0.3),
            note: "prefers the longer answer".to_owned(),
        }],
        samples: samples(6, HOSTILE),
    }
}

pub(crate) fn run(name: &str, points: usize) -> Run {
    let curve = |metric: &str, from: f64, to: f64| Curve {
        metric: metric.to_owned(),
        points: (0..points)
            .map(|i| [10.0 * (i + 1) as f64, from + (to - from) * (i as f64 / points as f64)])
            .collect(),
    };
    Run {
        name: name.to_owned(),
        path: format!("runs/{name}"),
        kind: "dpo".to_owned(),
        steps: Some(10 * points),
        train_seconds: Some(60.0),
        peak_memory_mb: None,
        curves: vec![
            curve("loss", 0.69, 0.3),
            curve("eval_loss", 0.69, 0.35),
            curve("rewards/margins", 0.0, 1.5),
            curve("rewards/accuracies", 0.5, 0.9),
            curve("eval_kl", 0.0, 0.7),
            curve("learning_rate", 4e-4, 0.0),
            curve(HOSTILE, 0.0, 1.0),
        ],
    }
}

pub(crate) fn report() -> Report {
    let mut report = Report::new(HOSTILE);
    report.created = "2026-11-21".to_owned();
    report.settings = BTreeMap::from([(HOSTILE.to_owned(), serde_json::json!([HOSTILE, 1]))]);
    report.notes = vec![HOSTILE.to_owned()];
    report.seconds = Some(41.0);
    report.comparison = Some(comparison());
    report.preferences = vec![preferences()];
    report.best_of = vec![best_of()];
    report.hacking = vec![hacking()];
    report.critique = Some(critique());
    report.runs = vec![run("dpo", 25)];
    report.sweep = Some(sweep());
    report
}

fn preferences() -> Preferences {
    let bin = |from: f64, pairs: usize| ReliabilityBin {
        from,
        to: from + 0.1,
        pairs,
        confidence: from + 0.05,
        accuracy: from + 0.02,
    };
    Preferences {
        model: HOSTILE.to_owned(),
        measure: "reward".to_owned(),
        dataset: HOSTILE.to_owned(),
        rows: 300,
        pairs: 300,
        left_out: vec!["12 ties".to_owned()],
        accuracy: 0.9,
        accuracy_ci95: [0.86, 0.93],
        p_value: Some(1e-9),
        margin: Some(3.8),
        baselines: vec![],
        agreement: Some(0.8),
        calibration: Some(Calibration {
            ece: 0.06,
            ece_if_calibrated: Some(0.05),
            ece_p_value: Some(0.2),
            ece_after_temperature: Some(0.05),
            brier: 0.1,
            temperature: Some(1.5),
            reliability: vec![bin(0.5, 20), bin(0.7, 30), bin(0.9, 250)],
        }),
        subsets: vec![Subset {
            name: HOSTILE.to_owned(),
            pairs: 44,
            accuracy: 1.0,
            ci95: Some([0.92, 1.0]),
            longer_wins: Some(0.4),
        }],
        length_correlation: None,
        chosen_rewards: vec![1.0, 2.0, 2.5],
        rejected_rewards: vec![-1.0, -2.0, 0.5],
    }
}

fn best_of() -> BestOf {
    let point = |n: usize| BestOfPoint {
        n,
        reward: (n as f64).ln(),
        quality: Some((n as f64).sqrt()),
        kl: (n as f64).ln() - (n as f64 - 1.0) / n as f64,
    };
    BestOf {
        model: "sft".to_owned(),
        reward_source: HOSTILE.to_owned(),
        quality_source: Some(HOSTILE.to_owned()),
        prompts: 200,
        points: [1, 2, 4, 8, 16].map(point).to_vec(),
    }
}

fn hacking() -> Hacking {
    let point = |i: i32| HackingPoint {
        step: f64::from(i),
        proxy: f64::from(i),
        quality: Some(f64::from(i * (8 - i))),
        kl: Some(f64::from(i)),
        tokens: Some(30.0 + f64::from(i)),
    };
    Hacking {
        run: HOSTILE.to_owned(),
        proxy_source: "length".to_owned(),
        quality_source: Some("the world's judge".to_owned()),
        points: (0..9).map(point).collect(),
        correlations: vec![Correlation {
            between: "reward and quality".to_owned(),
            from: 0.0,
            to: 8.0,
            r: Some(-0.3),
        }],
        divergence: Some(Divergence {
            step: 4.0,
            kl: Some(4.0),
            proxy_gain: 4.0,
            proxy_gain_ci95: Some([2.5, 5.5]),
            quality_loss: 16.0,
            p_value: Some(0.01),
        }),
        degenerate_rate: Some(0.3),
        degenerate_examples: vec![HOSTILE.to_owned()],
        verdict: HackingVerdict::Hacked,
        summary: HOSTILE.to_owned(),
        evidence: vec![HOSTILE.to_owned()],
    }
}

fn critique() -> Critique {
    Critique {
        model: "sft".to_owned(),
        critic: "dpo".to_owned(),
        principles: vec![Principle { name: "harmless".to_owned(), text: HOSTILE.to_owned(), violations: 3 }],
        answers: 20,
        violating: 3,
        revised: 3,
        unreadable: 1,
        reward_before: Some(-1.0),
        reward_after: Some(0.5),
        preference_file: Some("runs/critique/pairs.jsonl".to_owned()),
        pairs: 3,
        examples: vec![CritiqueExample {
            prompt: HOSTILE.to_owned(),
            answer: HOSTILE.to_owned(),
            critique: HOSTILE.to_owned(),
            violations: vec![HOSTILE.to_owned()],
            suggestions: vec![HOSTILE.to_owned()],
            revision: HOSTILE.to_owned(),
        }],
    }
}

fn sweep() -> Sweep {
    let point = |beta: f64, accuracy: f64, kl: f64| SweepPoint {
        run: format!("runs/hyper/{beta}"),
        settings: BTreeMap::from([("beta".to_owned(), beta), ("learning_rate".to_owned(), 1e-4)]),
        accuracy: Some(accuracy),
        held_out_rows: Some(300),
        margin: Some(1.0),
        kl: Some(kl),
        seconds: Some(20.0),
        on_frontier: beta < 1.0,
    };
    Sweep { points: vec![point(0.1, 0.85, 1.2), point(0.5, 0.8, 0.4), point(1.0, 0.7, 0.5)] }
}
