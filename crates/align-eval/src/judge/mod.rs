//! Who decides which of two answers is better.
//!
//! A [`Judge`] sees a [`Slate`]: a prompt and several answers, the first being the baseline's, and says of each other
//! answer how it compares with the first. Whoever scores answers one by one ([`RewardJudge`]) reads each of them once,
//! however many are compared; whoever is asked in words ([`EndpointJudge`](crate::EndpointJudge)) is asked per pair.

mod reward;

use align_data::PromptTask;

pub use reward::RewardJudge;
pub(crate) use reward::scores;

use crate::Result;

/// Answers to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Slate {
    /// The prompt, with the right answer where it is known.
    pub task: PromptTask,
    /// The answers, the baseline's first.
    pub answers: Vec<String>,
}

/// What a judge thinks of a slate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opinions {
    /// The score of every answer, of judges that score.
    pub scores: Option<Vec<f64>>,
    /// Of each answer after the first; `None` where the judge gave no verdict.
    pub opinions: Vec<Option<Opinion>>,
}

/// An answer against the baseline's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opinion {
    /// From 0 (the baseline's is better) over one half (a tie) to 1.
    pub preference: f64,
    /// Whether the judge said the same whichever answer it read first; `None` for judges that score.
    pub is_consistent: Option<bool>,
    /// Why, if the judge says so.
    pub reason: Option<String>,
}

/// Who decides.
pub trait Judge {
    /// `reward_model`, `rule` or `endpoint`.
    fn kind(&self) -> &str;

    /// Which one.
    fn name(&self) -> &str;

    /// Opinions on each slate, in order.
    ///
    /// # Errors
    /// Answers that it cannot judge; a judge that cannot be reached.
    fn judge(&self, slates: &[Slate]) -> Result<Vec<Opinions>>;

    /// Whether each answer costs questions of its own, so that answers nobody gave are not worth asking about.
    fn is_asked_per_answer(&self) -> bool {
        false
    }

    /// What a reader of the verdicts must know: answers without one, and why. Asked after [`Judge::judge`].
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
