//! A reward that is a function of a caller's own.

use align_data::Text;

use super::{Reward, RewardError, Task};

/// The reward of an answer by a function of the task and the answer. NaN where it does not apply.
pub struct RewardFn<F> {
    name: String,
    function: F,
}

impl<F: Fn(&Task, &Text) -> f64> RewardFn<F> {
    /// The function under the name that metrics and messages have.
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self { name: name.into(), function }
    }
}

impl<F: Fn(&Task, &Text) -> f64> Reward for RewardFn<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let of_answer = |task: &Task, answer: &Text| match (self.function)(task, answer) {
            value if value.is_infinite() => {
                let origin = task.candidates.origin.to_string();
                Err(RewardError::NotFinite { origin, reward: self.name.clone(), value })
            }
            value => Ok(value),
        };
        let of_task =
            |task: &Task| task.candidates.completions.iter().map(|answer| of_answer(task, answer)).collect();
        tasks.iter().map(of_task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::task;

    #[test]
    fn every_answer_is_given_what_the_function_says() {
        let length = RewardFn::new("length", |_, answer| answer.chars() as f64);
        assert_eq!(
            length.rewards(&[task(None, &["a", "abc"]), task(None, &[""])]).unwrap(),
            [vec![1.0, 3.0], vec![0.0]]
        );
        let only_known = RewardFn::new("known", |task, _| task.reference.as_ref().map_or(f64::NAN, |_| 1.0));
        assert!(only_known.rewards(&[task(None, &["a"])]).unwrap()[0][0].is_nan());
        let error =
            RewardFn::new("endless", |_, _| f64::INFINITY).rewards(&[task(None, &["a"])]).unwrap_err();
        assert_eq!(error.to_string(), "row 1: endless gives inf; rewards must be finite");
    }
}
