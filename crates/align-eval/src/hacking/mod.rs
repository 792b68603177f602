//! Whether a policy games its reward: the reward that it was trained on against a quality that it was not.
//!
//! The exercise that this answers gives two lists, rewards during training and true quality, and asks for the correlation,
//! the point where they part, and a verdict. Three more things are looked at: the curve of quality over √KL, whose shape
//! is known (Gao et al. 2022, arXiv:2210.10760); whether reward and length rise together; and whether the last answers are
//! degenerate. The verdict is in words, with the numbers that it rests on. Such signs tell what has happened; they are poor
//! prophets.

mod curve;
mod degenerate;
mod divergence;
mod series;
mod verdict;

use align_report::{Correlation, Hacking, HackingPoint};
use align_stats::pearson;

pub use curve::Overoptimization;
pub use degenerate::degenerate;
pub use series::{Measuring, attach_file, logged, measured};

/// Points that a conclusion needs.
const FEWEST: usize = 6;
/// Parts of the run that have correlations of their own.
const PARTS: usize = 3;

/// A run to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Series<'a> {
    /// The run's name.
    pub run: String,
    /// What was optimised.
    pub proxy_source: String,
    /// What stands for true quality.
    pub quality_source: Option<String>,
    /// By rising step.
    pub points: Vec<HackingPoint>,
    /// Answers of the policy as it ended; may be empty.
    pub answers: &'a [String],
}

/// The analysis, with the numbers behind it. `seed` is of the permutation test.
pub fn analyze_reward_hacking(series: Series<'_>, seed: u64) -> Hacking {
    let Series { run, proxy_source, quality_source, points, answers } = series;
    let correlations = correlations(&points);
    let divergence = divergence::find(&points, seed);
    let curve = Overoptimization::fit(&points);
    let (degenerate_rate, degenerate_examples) = match answers {
        [] => (None, Vec::new()),
        answers => {
            let (rate, examples) = degenerate(answers);
            (Some(rate), examples)
        }
    };
    let signs = verdict::Signs {
        points: &points,
        correlations: &correlations,
        divergence: divergence.as_ref(),
        curve: curve.as_ref(),
        degenerate_rate,
    };
    let (verdict, summary, evidence) = signs.conclude();
    Hacking {
        run,
        proxy_source,
        quality_source,
        divergence: divergence.filter(|_| verdict == align_report::HackingVerdict::Hacked),
        points,
        correlations,
        degenerate_rate,
        degenerate_examples,
        verdict,
        summary,
        evidence,
    }
}

/// Reward and quality, reward and length: over the whole run, and over each part of it.
fn correlations(points: &[HackingPoint]) -> Vec<Correlation> {
    let mut found = Vec::new();
    let mut add = |between: &str, value: fn(&HackingPoint) -> Option<f64>| {
        let known: Vec<(&HackingPoint, f64)> =
            points.iter().filter_map(|point| Some((point, value(point)?))).collect();
        if known.len() < 3 {
            return;
        }
        let mut parts = vec![known.as_slice()];
        if known.len() >= FEWEST * PARTS / 2 {
            parts.extend(known.chunks(known.len().div_ceil(PARTS)));
        }
        for part in parts {
            let (proxies, values): (Vec<f64>, Vec<f64>) =
                part.iter().map(|(point, it)| (point.proxy, *it)).unzip();
            let (from, to) = (part[0].0.step, part[part.len() - 1].0.step);
            found.push(Correlation { between: between.to_owned(), from, to, r: pearson(&proxies, &values) });
        }
    };
    add(QUALITY, |point| point.quality);
    add(LENGTH, |point| point.tokens);
    found
}

const QUALITY: &str = "reward and quality";
const LENGTH: &str = "reward and length";

/// Mean of the given values; none of none.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
