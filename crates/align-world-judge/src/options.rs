//! The option by which a training program is told who judges held-out answers.

use align_data::{Origin, Text};
use align_reward::RewardError;
use serde::Serialize;

use crate::WorldQuality;

/// Who judges held-out answers, beside what training maximises.
#[derive(Clone, Copy, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct JudgeOptions {
    /// Who says how good held-out answers are, before training and after it [default: nobody]
    #[arg(long, value_enum, value_name = "JUDGE")]
    pub judge: Option<JudgeName>,
}

/// The judges that need no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum JudgeName {
    /// The rule of the fixtures' world, which knows the truth about its own prompts and no others
    World,
}

impl JudgeOptions {
    /// The judge that was named, for these prompts.
    ///
    /// # Errors
    /// A prompt that it knows nothing of.
    pub fn judge<'a>(
        &self,
        prompts: impl IntoIterator<Item = (&'a Text, &'a Origin)>,
    ) -> Result<Option<WorldQuality>, RewardError> {
        match self.judge {
            None => Ok(None),
            Some(JudgeName::World) => WorldQuality::check(prompts).map(|()| Some(WorldQuality)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_unless_named() {
        let (own, foreign, origin) = ("What is four plus seven?".into(), "Why?".into(), Origin::in_code(0));
        let named = JudgeOptions { judge: Some(JudgeName::World) };
        assert!(JudgeOptions::default().judge([(&foreign, &origin)]).unwrap().is_none());
        assert!(named.judge([(&own, &origin)]).unwrap().is_some());
        assert!(named.judge([(&own, &origin), (&foreign, &origin)]).is_err());
    }
}
