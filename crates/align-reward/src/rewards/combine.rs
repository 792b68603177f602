//! Rewards made of rewards.

use super::{Reward, RewardError, Task};

/// The sum of rewards, each times its weight.
pub struct WeightedSum {
    members: Vec<(f64, Box<dyn Reward>)>,
}

impl WeightedSum {
    /// Of these rewards with these weights.
    ///
    /// # Errors
    /// If there are none, or a weight is no number.
    pub fn new(members: Vec<(f64, Box<dyn Reward>)>) -> Result<Self, RewardError> {
        if members.is_empty() {
            return Err(RewardError::Config("a weighted sum needs at least one reward".to_owned()));
        }
        if let Some((weight, reward)) = members.iter().find(|(weight, _)| !weight.is_finite()) {
            let problem = format!("{}: expected a finite weight, found {weight}", reward.name());
            return Err(RewardError::Config(problem));
        }
        Ok(Self { members })
    }
}

impl Reward for WeightedSum {
    fn name(&self) -> &str {
        "weighted_sum"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let members = self.members.iter().map(|(_, reward)| finite(reward.as_ref(), tasks));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        let weights: Vec<f64> = self.members.iter().map(|(weight, _)| *weight).collect();
        Ok(over_members(tasks, &members, |rewards| rewards.iter().zip(&weights).map(|(r, w)| r * w).sum()))
    }
}

/// How members of an ensemble become one reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// Their mean.
    Mean,
    /// The smallest: what none of them finds worse.
    Min,
    /// The mean minus so many standard deviations: members that disagree are not to be trusted there (Coste et al.
    /// 2023, arXiv:2310.02743, with the deviation in place of the variance).
    MeanMinusDeviation(f64),
}

/// Several rewards of the same kind, such as reward models of several seeds. Their scales should be the same: give
/// normalised ones.
pub struct Ensemble {
    members: Vec<Box<dyn Reward>>,
    aggregate: Aggregate,
}

impl Ensemble {
    /// Of these rewards.
    ///
    /// # Errors
    /// If there are fewer than two, or the deviations are no weight.
    pub fn new(members: Vec<Box<dyn Reward>>, aggregate: Aggregate) -> Result<Self, RewardError> {
        if members.len() < 2 {
            let problem = format!("an ensemble needs at least two rewards, found {}", members.len());
            return Err(RewardError::Config(problem));
        }
        if let Aggregate::MeanMinusDeviation(count) = aggregate
            && !(count.is_finite() && count >= 0.0)
        {
            let problem = format!("expected a number of deviations, 0 or more, found {count}");
            return Err(RewardError::Config(problem));
        }
        Ok(Self { members, aggregate })
    }
}

impl Reward for Ensemble {
    fn name(&self) -> &str {
        "ensemble"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let members = self.members.iter().map(|reward| finite(reward.as_ref(), tasks));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        Ok(over_members(tasks, &members, |rewards| self.aggregate.of(rewards)))
    }
}

impl Aggregate {
    fn of(self, rewards: &[f64]) -> f64 {
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        match self {
            Self::Mean => mean,
            Self::Min => rewards.iter().copied().fold(f64::INFINITY, f64::min),
            Self::MeanMinusDeviation(deviations) => {
                let variance = rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / count;
                mean - deviations * variance.sqrt()
            }
        }
    }
}

/// A member's rewards, which must be numbers: the smallest of NaN and 1 would be 1.
fn finite(reward: &dyn Reward, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
    let rewards = reward.rewards(tasks)?;
    for (task, rewards) in tasks.iter().zip(&rewards) {
        if let Some(&value) = rewards.iter().find(|value| !value.is_finite()) {
            let (origin, reward) = (task.candidates.origin.to_string(), reward.name().to_owned());
            return Err(RewardError::NotFinite { origin, reward, value });
        }
    }
    Ok(rewards)
}

/// One reward of those that the members give each answer.
fn over_members(tasks: &[Task], members: &[Vec<Vec<f64>>], one: impl Fn(&[f64]) -> f64) -> Vec<Vec<f64>> {
    let answer = |task: usize, answer: usize| {
        one(&members.iter().map(|member| member[task][answer]).collect::<Vec<_>>())
    };
    let answers = tasks.iter().map(|task| task.candidates.completions.len());
    answers.enumerate().map(|(task, count)| (0..count).map(|number| answer(task, number)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewards::{ExactMatch, LengthRange};
    use crate::tests::task;

    /// Gives every answer the same.
    struct Always(f64);

    impl Reward for Always {
        fn name(&self) -> &str {
            "always"
        }

        fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
            Ok(tasks.iter().map(|task| vec![self.0; task.candidates.completions.len()]).collect())
        }
    }

    fn complaint<T>(made: Result<T, RewardError>) -> String {
        made.err().unwrap().to_string()
    }

    #[test]
    fn a_weighted_sum_adds_what_its_members_say() {
        let members: Vec<(f64, Box<dyn Reward>)> =
            vec![(2.0, Box::new(ExactMatch)), (-0.5, Box::new(LengthRange::new(1, 3).unwrap()))];
        let sum = WeightedSum::new(members).unwrap();
        let tasks = [task(Some("abc"), &["abc", "ab", "abcd"]), task(Some("x"), &["y"])];
        assert_eq!(sum.rewards(&tasks).unwrap(), [vec![1.5, -0.5, 0.0], vec![-0.5]]);
        assert!(complaint(WeightedSum::new(Vec::new())).contains("at least one reward"));
        let no_weight = WeightedSum::new(vec![(f64::NAN, Box::new(ExactMatch) as Box<dyn Reward>)]);
        assert!(complaint(no_weight).contains("exact_match: expected a finite weight"));
    }

    #[test]
    fn an_ensemble_is_as_sure_as_its_members_agree() {
        let of = |aggregate: Aggregate| {
            let members: Vec<Box<dyn Reward>> = vec![Box::new(Always(1.0)), Box::new(Always(3.0))];
            Ensemble::new(members, aggregate).unwrap().rewards(&[task(None, &["a"])]).unwrap()[0][0]
        };
        assert_eq!((of(Aggregate::Mean), of(Aggregate::Min)), (2.0, 1.0));
        assert_eq!(of(Aggregate::MeanMinusDeviation(0.5)), 1.5);
        assert!(complaint(Ensemble::new(vec![Box::new(Always(1.0))], Aggregate::Min)).contains("found 1"));
        let both: Vec<Box<dyn Reward>> = vec![Box::new(Always(1.0)), Box::new(Always(f64::NAN))];
        let error = complaint(Ensemble::new(both, Aggregate::Min).unwrap().rewards(&[task(None, &["a"])]));
        assert_eq!(error, "row 1: always gives NaN; rewards must be finite");
    }
}
