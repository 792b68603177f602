//! Parts of a job that a caller brings, in the place of what options name: preferences, a loss, a judge.

use align_data::{PreferencePair, Records, Source, UnpairedPreference, unpair_preferences};
use align_stage::{Error, Given, Judge, Result};

use crate::{DpoOptions, LossType, Method, OwnLoss, PairLoss};

/// Parts of a caller's own.
#[derive(Default)]
pub struct Parts<'a> {
    /// The preferences, in the place of data sets.
    pub preferences: Option<Preferences>,
    /// The loss of a pair, in the place of `loss_type`. It may use β, the reference and what the log-probs are made of
    /// (`ld_alpha`, `use_weighting`); options of other losses are refused.
    pub loss: Option<OwnLoss>,
    /// A judge of held-out answers, whom no training asks.
    pub judge: Option<Judge<'a>>,
}

/// Preferences of a caller's own.
#[derive(Clone, Debug)]
pub enum Preferences {
    /// Pairs of answers. A method for single answers takes each by itself.
    Pairs(Records<PreferencePair>),
    /// Single answers, desirable or not, for a method that takes such.
    Unpaired(Records<UnpairedPreference>),
}

impl From<Records<PreferencePair>> for Preferences {
    fn from(pairs: Records<PreferencePair>) -> Self {
        Self::Pairs(pairs)
    }
}

impl From<Records<UnpairedPreference>> for Preferences {
    fn from(answers: Records<UnpairedPreference>) -> Self {
        Self::Unpaired(answers)
    }
}

/// The pairs of `preferences`.
pub(super) fn pairs(preferences: Option<Preferences>) -> Result<Option<Records<PreferencePair>>> {
    match preferences {
        None => Ok(None),
        Some(Preferences::Pairs(pairs)) => Ok(Some(pairs)),
        Some(Preferences::Unpaired(_)) => Err(Error::Inputs(
            "preferences: the loss compares the answers of pairs, and these are single answers; give pairs, or \
             `loss_type` kto, apo_zero_unpaired or bco"
                .to_owned(),
        )),
    }
}

/// The answers of `preferences`, each by itself.
pub(super) fn unpaired(preferences: Preferences) -> Result<Records<UnpairedPreference>> {
    match preferences {
        Preferences::Unpaired(answers) => Ok(answers),
        Preferences::Pairs(Records { train, held_out }) => {
            let unpaired = |pairs: Source<PreferencePair>| pairs.load().map(|it| it.map(unpair_preferences));
            Ok(Records { train: unpaired(train)?.into(), held_out: unpaired(held_out)?.into() })
        }
    }
}

/// The method with a loss of the caller's own in the place of the one that options name.
pub(super) fn with_loss(
    method: Method,
    loss: OwnLoss,
    options: &DpoOptions,
    given: &Given,
) -> Result<Method> {
    let because = "the loss is the caller's own";
    given.refuse(&["loss_type", "loss_weights"], because)?;
    // As a loss has that is a function of log-ratios and of beta alone.
    let unused = options.given().into_iter().find(|(option, _)| !LossType::NcaPair.uses(option));
    match (method, unused) {
        (_, Some((option, _))) => Err(Error::no_effect(option, because)),
        (Method::Pairs(method), None) => {
            Ok(Method::Pairs(crate::PairMethod { losses: vec![(PairLoss::Own(loss), 1.0)], ..method }))
        }
        (Method::Unpaired(_), None) => Err(Error::Inputs("the loss is one of pairs".to_owned())),
    }
}
