//! Which of the answers that training changed are better: said by a judge, if there is one.

use align_data::{Origin, Text};
use align_stage::{Error, Judge, JudgedChanges, Result, Said, check_judge};

use crate::HeldOutLook;

/// A judge, and what it has to know of held-out rows.
pub(super) struct JudgedTexts<'a> {
    judge: Option<Judge<'a>>,
    prompts: Vec<(&'a Text, &'a Origin)>,
}

impl<'a> JudgedTexts<'a> {
    /// `prompts` are those of the held-out rows, in order; all of them are the judge's to know.
    pub(super) fn new(judge: Option<Judge<'a>>, prompts: Vec<(&'a Text, &'a Origin)>) -> Result<Self> {
        check_judge(judge.is_some(), prompts.len())?;
        for (prompt, origin) in judge.iter().flat_map(|_| &prompts) {
            judge.map_or(Ok(()), |judge| (judge.check)(prompt, origin)).map_err(Error::Method)?;
        }
        Ok(Self { judge, prompts })
    }

    /// What the judge says of the texts before training and after it.
    pub(super) fn changes(
        &self,
        looks: Option<&(HeldOutLook, HeldOutLook)>,
    ) -> Result<Option<JudgedChanges>> {
        let (Some(judge), Some((before, after))) = (self.judge, looks) else { return Ok(None) };
        let qualities = |look: &HeldOutLook| {
            let quality = |(said, row): (&Said, &usize)| {
                let (prompt, origin) = self.prompts[*row];
                (judge.quality)(prompt, &said.answer.as_str().into(), origin).map_err(Error::Method)
            };
            look.texts.iter().zip(&look.texts_of).map(quality).collect::<Result<Vec<f64>>>()
        };
        let (old, new) = (qualities(before)?, qualities(after)?);
        Ok(Some(JudgedChanges::of(judge.name, (&before.texts, &old), (&after.texts, &new))))
    }
}
