//! What is gained by sampling N answers and keeping the one with the highest reward, and what that is worth to a judge
//! that was not asked.

use align_data::PromptOnly;
use align_models::generation::GenerationOptions;
use align_report::{BestOf, BestOfPoint};
use align_reward::Reward;

use crate::judge::{Slate, scores};
use crate::policy::Policy;
use crate::prompts::PromptRow;
use crate::{Error, Result};

/// The curve of `policy` from one answer to `most`, at powers of two, on the prompts that leave room.
///
/// `reward` picks; `quality`, if there is one, says what the picked answers are truly worth. Each comes with its name.
///
/// # Errors
/// Prompts that all are too long; greedy decoding, which has one answer only; rewards that cannot be given.
pub fn best_of(
    policy: &Policy,
    prompts: &[PromptRow],
    (reward, reward_source): (&dyn Reward, &str),
    quality: Option<(&dyn Reward, &str)>,
    (most, generation, seed): (usize, &GenerationOptions, u64),
) -> Result<BestOf> {
    if most < 2 || generation.temperature == 0.0 {
        let found = if most < 2 { format!("best_of_n {most}") } else { "temperature 0".to_owned() };
        return Err(Error::Config(format!(
            "the best of n answers needs at least 2 that are sampled; found {found}"
        )));
    }
    let asked: Vec<PromptOnly> =
        prompts.iter().filter(|row| row.is_main).map(|row| row.task.prompt.clone()).collect();
    let tokens = policy.dir().prompt_tokens(&asked, generation.max_new_tokens)?;
    let rows = prompts.iter().filter(|row| row.is_main).zip(tokens);
    let (rows, tokens): (Vec<&PromptRow>, Vec<Vec<u32>>) =
        rows.filter_map(|(row, tokens)| Some((row, tokens?))).unzip();
    let groups = policy.answer_groups(&tokens, most, generation, seed)?;
    let slate = |(row, group): (&&PromptRow, &Vec<crate::Answer>)| Slate {
        task: row.task.clone(),
        answers: group.iter().map(|answer| answer.text.clone()).collect(),
    };
    let slates: Vec<Slate> = rows.iter().zip(&groups).map(slate).collect();
    let rewards = scores(reward, &slates)?;
    let qualities = quality.map(|(quality, _)| scores(quality, &slates)).transpose()?;
    Ok(BestOf {
        model: policy.dir().name().to_owned(),
        reward_source: reward_source.to_owned(),
        quality_source: quality.map(|(_, name)| name.to_owned()),
        prompts: rows.len(),
        points: sizes(most).map(|n| point(n, &rewards, qualities.as_deref())).collect(),
    })
}

/// 1, 2, 4, … and `most`.
fn sizes(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |n| Some(n * 2)).take_while(move |n| *n < most).chain([most])
}

fn point(n: usize, rewards: &[Vec<f64>], qualities: Option<&[Vec<f64>]>) -> BestOfPoint {
    let mean = |values: &[Vec<f64>]| {
        let of_prompts =
            rewards.iter().zip(values).map(|(rewards, values)| align_stats::best_of(rewards, values, n));
        of_prompts.sum::<f64>() / rewards.len().max(1) as f64
    };
    BestOfPoint { n, reward: mean(rewards), quality: qualities.map(mean), kl: align_stats::best_of_kl(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_measured_at_powers_of_two_and_at_its_end() {
        assert_eq!(sizes(12).collect::<Vec<_>>(), [1, 2, 4, 8, 12]);
        assert_eq!(sizes(4).collect::<Vec<_>>(), [1, 2, 4]);
        let rewards = vec![vec![0.0, 1.0], vec![2.0, 2.0]];
        let point = point(2, &rewards, Some(&[vec![5.0, 3.0], vec![0.0, 2.0]]));
        assert_eq!((point.reward, point.quality), (1.5, Some(2.0)));
    }
}
