//! Which of the answers that training changed are better: said by a judge, if one is named.

use align_data::{Origin, Text};
use align_dpo::Look;
use align_stage::JudgedChanges;
use align_world_judge::{JudgeOptions, WorldQuality};

/// What the summary calls the only judge that there is.
const JUDGE: &str = "the judge of the fixtures' world";

/// A judge, and what it has to know of held-out rows.
pub(crate) struct JudgedTexts<'a> {
    judge: Option<WorldQuality>,
    prompts: Vec<(&'a Text, &'a Origin)>,
}

impl<'a> JudgedTexts<'a> {
    /// `prompts` are those of the held-out rows, in order; all of them are the judge's to know.
    pub(crate) fn new(options: &JudgeOptions, prompts: Vec<(&'a Text, &'a Origin)>) -> anyhow::Result<Self> {
        Ok(Self { judge: options.judge(prompts.iter().copied())?, prompts })
    }

    /// What the judge says of the texts before training and after it.
    pub(crate) fn changes(&self, looks: Option<&(Look, Look)>) -> anyhow::Result<Option<JudgedChanges>> {
        let (Some(_), Some((before, after))) = (self.judge, looks) else { return Ok(None) };
        let qualities = |look: &Look| -> anyhow::Result<Vec<f64>> {
            let quality = |((_, answer), row): (&(String, String), &usize)| {
                let (prompt, origin) = self.prompts[*row];
                Ok(WorldQuality::of(prompt, &answer.as_str().into(), origin)?)
            };
            look.texts.iter().zip(&look.texts_of).map(quality).collect()
        };
        let (old, new) = (qualities(before)?, qualities(after)?);
        Ok(Some(JudgedChanges::of(JUDGE, (&before.texts, &old), (&after.texts, &new))))
    }
}
