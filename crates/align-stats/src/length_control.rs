//! What a win rate would be if both answers were equally long: the length-controlled win rate of AlpacaEval 2.0 (Dubois
//! et al. 2024, arXiv:2404.04475).
//!
//! The preference for model m's answer is modelled as σ(θ_m + φ tanh(Δ/s)), Δ being by how much it is longer and s the
//! deviation of all differences; the controlled win rate is σ(θ_m), where Δ is 0. Two things differ from the paper. The
//! difficulty of each prompt is left out: it takes many models to know it. And φ belongs to the judge, so all models
//! share it, and a *control* helps to find it: two samples of the baseline compared with each other, of which the same
//! judge prefers the longer one if length is what it likes. Without a control, a model that is longer on every prompt
//! could owe its wins to either, and no figure could tell.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Keep the parameters finite where one side always wins. A model's own is held tighter: what length can explain is not put
/// down to its quality.
const MODEL_RIDGE: f64 = 0.1;
const LENGTH_RIDGE: f64 = 0.001;
/// Fits that the intervals are made of.
const RESAMPLES: usize = 400;
const ITERATIONS: usize = 50;

/// Preferences of a judge and what they may owe to length.
#[derive(Clone, Copy, Debug)]
pub struct Lengths<'a> {
    /// Preferences for a model's answers, from 0 to 1.
    pub preferences: &'a [f64],
    /// The difference in length of each answer and the baseline's, in any unit; positive where it is longer.
    pub differences: &'a [f64],
    /// The prompt of each comparison, by any number; those of a prompt stand side by side, and are drawn together.
    pub prompts: &'a [usize],
}

/// Win rates at equal length, and the effect of length.
#[derive(Clone, Debug, PartialEq)]
pub struct LengthControlled {
    /// The win rate of each model at equal length.
    pub win_rates: Vec<f64>,
    /// Their 95 % intervals, by bootstrap over prompts.
    pub ci95: Vec<[f64; 2]>,
    /// The win rate that an answer has for being longer by one deviation, all else equal: one half for a judge who does
    /// not care.
    pub longer_by_deviation: f64,
}

/// The win rates of `models` at equal length, all by the same judge.
///
/// # Panics
/// If a model has not as many differences and prompts as preferences.
pub fn length_controlled(
    models: &[Lengths<'_>],
    control: Option<Lengths<'_>>,
    seed: u64,
) -> LengthControlled {
    let groups: Vec<Lengths<'_>> = models.iter().copied().chain(control).collect();
    for group in &groups {
        let lengths = [group.differences.len(), group.prompts.len()];
        assert_eq!(lengths, [group.preferences.len(); 2], "a difference and a prompt for each preference");
    }
    let scale = deviation(&groups);
    let rows: Vec<Vec<Row>> = groups.iter().map(|group| rows(group, scale)).collect();
    let whole = Fit::zero(models.len()).improved(&rows);
    let prompts: Vec<Vec<&[Row]>> =
        groups.iter().zip(&rows).map(|(group, rows)| by_prompt(group, rows)).collect();

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resampled: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); models.len()];
    for _ in 0..RESAMPLES {
        let drawn: Vec<Vec<Row>> = prompts.iter().map(|prompts| draw(prompts, &mut rng)).collect();
        let fit = whole.clone().improved(&drawn);
        resampled.iter_mut().zip(&fit.models).for_each(|(all, theta)| all.push(sigmoid(*theta)));
    }
    let interval = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        [rates[RESAMPLES * 25 / 1000], rates[RESAMPLES * 975 / 1000 - 1]]
    };
    LengthControlled {
        win_rates: whole.models.iter().map(|theta| sigmoid(*theta)).collect(),
        ci95: resampled.into_iter().map(interval).collect(),
        longer_by_deviation: sigmoid(whole.length * 1f64.tanh()),
    }
}

/// A preference and tanh(Δ/s).
type Row = (f64, f64);

fn rows(group: &Lengths<'_>, scale: f64) -> Vec<Row> {
    let squashed = |difference: &f64| if scale > 0.0 { (difference / scale).tanh() } else { 0.0 };
    group.preferences.iter().copied().zip(group.differences.iter().map(squashed)).collect()
}

/// The root mean square: what is as long has difference 0, whatever the mean.
fn deviation(groups: &[Lengths<'_>]) -> f64 {
    let all: Vec<f64> = groups.iter().flat_map(|group| group.differences).map(|it| it * it).collect();
    (all.iter().sum::<f64>() / all.len().max(1) as f64).sqrt()
}

fn by_prompt<'a>(group: &Lengths<'_>, rows: &'a [Row]) -> Vec<&'a [Row]> {
    let (mut prompts, mut rest) = (Vec::new(), rows);
    for comparisons in group.prompts.chunk_by(|a, b| a == b) {
        let (prompt, others) = rest.split_at(comparisons.len());
        prompts.push(prompt);
        rest = others;
    }
    prompts
}

fn draw(prompts: &[&[Row]], rng: &mut ChaCha8Rng) -> Vec<Row> {
    let mut one = || prompts[(rng.next_u64() % prompts.len() as u64) as usize];
    (0..prompts.len()).flat_map(|_| one()).copied().collect()
}

/// θ of each model and φ. A group beyond the models is the control, whose θ is 0.
#[derive(Clone, Debug)]
struct Fit {
    models: Vec<f64>,
    length: f64,
}

impl Fit {
    fn zero(models: usize) -> Self {
        Self { models: vec![0.0; models], length: 0.0 }
    }

    /// Newton's steps on the penalised cross-entropy, which is convex, halved while they do not help.
    fn improved(mut self, groups: &[Vec<Row>]) -> Self {
        let mut loss = self.loss(groups);
        for _ in 0..ITERATIONS {
            let step = self.step(groups);
            let mut share = 1.0;
            let better = loop {
                let moved = self.moved(&step, share);
                let found = moved.loss(groups);
                if found < loss {
                    break Some((moved, found));
                }
                share /= 2.0;
                if share < 1e-6 {
                    break None;
                }
            };
            let Some((moved, found)) = better else { break };
            let gained = loss - found;
            (self, loss) = (moved, found);
            if gained < 1e-10 {
                break;
            }
        }
        self
    }

    fn theta(&self, group: usize) -> f64 {
        self.models.get(group).copied().unwrap_or(0.0)
    }

    fn loss(&self, groups: &[Vec<Row>]) -> f64 {
        let squares = self.models.iter().map(|it| it * it).sum::<f64>();
        let penalty = (MODEL_RIDGE * squares + LENGTH_RIDGE * self.length.powi(2)) / 2.0;
        let of_group = |(group, rows): (usize, &Vec<Row>)| {
            let theta = self.theta(group);
            let of_row = |&(preference, length): &Row| {
                let logit = theta + self.length * length;
                softplus(logit) - preference * logit
            };
            rows.iter().map(of_row).sum::<f64>()
        };
        groups.iter().enumerate().map(of_group).sum::<f64>() + penalty
    }

    /// −H⁻¹g. Each θ meets φ and no other θ, so that H is an arrow, and is solved for φ first.
    fn step(&self, groups: &[Vec<Row>]) -> Self {
        let (mut gradient, mut curvature) = (LENGTH_RIDGE * self.length, LENGTH_RIDGE);
        let mut models = Vec::with_capacity(self.models.len());
        for (group, rows) in groups.iter().enumerate() {
            let theta = self.theta(group);
            let (mut own, mut own_curvature, mut shared) = (MODEL_RIDGE * theta, MODEL_RIDGE, 0.0);
            for &(preference, length) in rows {
                let probability = sigmoid(theta + self.length * length);
                let (error, weight) = (probability - preference, probability * (1.0 - probability));
                own += error;
                own_curvature += weight;
                shared += weight * length;
                gradient += error * length;
                curvature += weight * length * length;
            }
            if group < self.models.len() {
                models.push((own, own_curvature, shared));
            }
        }
        for (own, own_curvature, shared) in &models {
            gradient -= shared * own / own_curvature;
            curvature -= shared * shared / own_curvature;
        }
        let length = -gradient / curvature;
        let theta = |(own, own_curvature, shared): (f64, f64, f64)| -(own + shared * length) / own_curvature;
        Self { models: models.into_iter().map(theta).collect(), length }
    }

    fn moved(&self, step: &Self, share: f64) -> Self {
        let models = self.models.iter().zip(&step.models).map(|(at, by)| at + share * by).collect();
        Self { models, length: self.length + share * step.length }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + eˣ) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_differences_it_is_the_win_rate() {
        let preferences: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 10 < 7))).collect();
        let prompts: Vec<usize> = (0..200).collect();
        let equal = Lengths { preferences: &preferences, differences: &[0.0; 200], prompts: &prompts };
        let found = length_controlled(&[equal], None, 1);
        assert!((found.win_rates[0] - 0.7).abs() < 1e-3, "{found:?}");
        assert_eq!(found.longer_by_deviation, 0.5);
        assert!(found.ci95[0][0] < 0.68 && found.ci95[0][1] > 0.72, "{found:?}");
    }

    #[test]
    fn the_same_answer_again_narrows_nothing() {
        let preferences: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 < 6))).collect();
        let width = |times: usize| {
            let again = |values: Vec<f64>| -> Vec<f64> {
                values.into_iter().flat_map(|value| std::iter::repeat_n(value, times)).collect()
            };
            let prompts: Vec<usize> = (0..100 * times).map(|place| place / times).collect();
            let (preferences, differences) =
                (again(preferences.clone()), again((0..100).map(|i| f64::from(i % 7) - 3.0).collect()));
            let group = Lengths { preferences: &preferences, differences: &differences, prompts: &prompts };
            let [low, high] = length_controlled(&[group], None, 3).ci95[0];
            high - low
        };
        let (once, thrice) = (width(1), width(3));
        assert!((thrice / once - 1.0).abs() < 0.02, "{once} {thrice}");
    }

    #[test]
    fn the_fit_is_the_maximum() {
        // Its gradient is 0: the penalised scores balance.
        let (preferences, differences) = ([1.0, 0.0, 1.0, 0.5, 1.0, 0.0], [3.0, -1.0, 2.0, 0.0, -2.0, 1.0]);
        let prompts = [0, 1, 2, 3, 4, 5];
        let group = Lengths { preferences: &preferences, differences: &differences, prompts: &prompts };
        let rows = vec![rows(&group, deviation(&[group]))];
        let fit = Fit::zero(1).improved(&rows);
        let step = fit.step(&rows);
        assert!(step.models[0].abs() < 1e-4 && step.length.abs() < 1e-4, "{fit:?} {step:?}");
    }
}
