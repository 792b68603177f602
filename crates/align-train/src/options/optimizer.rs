//! From options to an optimizer.

use super::TrainOptions;
use super::check::{above_0, at_least_0, fraction_below_1};
use super::kwargs::Arguments;
use crate::{Adam, Error, LrAdjustment, Momentum, Muon, Optim, OptimizerConfig, OptimizerMethod, Result};

const ADJUSTMENTS: [(&str, LrAdjustment); 3] = [
    ("original", LrAdjustment::Original),
    ("match_rms_adamw", LrAdjustment::MatchRmsAdamw),
    ("spectral_unclamped", LrAdjustment::SpectralUnclamped),
];

impl TrainOptions {
    pub(super) fn optimizer(&self) -> Result<OptimizerConfig> {
        at_least_0("weight_decay", self.weight_decay)?;
        fraction_below_1("adam_beta1", self.adam_beta1)?;
        fraction_below_1("adam_beta2", self.adam_beta2)?;
        above_0("adam_epsilon", self.adam_epsilon)?;
        let (beta1, beta2) = (self.adam_beta1, self.adam_beta2);
        let adam = Adam { beta1, beta2, epsilon: self.adam_epsilon };
        let taker = format!("optim {}", self.optim.name());
        let mut arguments = Arguments::of("optim_args", self.optim_args.as_deref(), taker)?;
        let method = match self.optim {
            Optim::AdamwTorch => OptimizerMethod::AdamW(adam),
            Optim::Adamw8bit => OptimizerMethod::AdamW8bit(adam),
            Optim::Adafactor => OptimizerMethod::Adafactor,
            Optim::Lion => OptimizerMethod::Lion { beta1, beta2 },
            Optim::Sgd => OptimizerMethod::Sgd(momentum(&mut arguments)?),
            Optim::Muon => OptimizerMethod::Muon(muon(&mut arguments)?, adam),
        };
        arguments.finish()?;
        Ok(OptimizerConfig { method, weight_decay: self.weight_decay, loraplus_lr_ratio: 1.0 })
    }
}

fn momentum(arguments: &mut Arguments) -> Result<Momentum> {
    let momentum = arguments.number("momentum", 0.0..=1.0)?.unwrap_or(0.0);
    let dampening = arguments.number("dampening", 0.0..=1.0)?;
    let nesterov = arguments.truth("nesterov")?.unwrap_or(false);
    if momentum == 0.0 && (dampening.is_some() || nesterov) {
        let given = if nesterov { "nesterov=true" } else { "dampening" };
        return Err(Error::no_effect(
            "optim_args",
            given,
            "has no effect without momentum; give momentum too",
        ));
    }
    let dampening = dampening.unwrap_or(0.0);
    if nesterov && dampening != 0.0 {
        return Err(Error::option("optim_args", "nesterov=true", "goes with no dampening, as in torch"));
    }
    Ok(Momentum { momentum, dampening, nesterov })
}

fn muon(arguments: &mut Arguments) -> Result<Muon> {
    let default = Muon::default();
    Ok(Muon {
        momentum: arguments.number("momentum", 0.0..=1.0)?.unwrap_or(default.momentum),
        nesterov: arguments.truth("nesterov")?.unwrap_or(default.nesterov),
        ns_steps: arguments.whole("ns_steps", 1..=99)?.unwrap_or(default.ns_steps),
        epsilon: arguments.number("eps", 1e-30..=1.0)?.unwrap_or(default.epsilon),
        adjust_lr: arguments.word("adjust_lr_fn", &ADJUSTMENTS)?.unwrap_or(default.adjust_lr),
    })
}

impl OptimizerMethod {
    /// Options of other optimizers that have no effect with this one.
    pub fn unused_options(self) -> &'static [&'static str] {
        match self {
            Self::AdamW(_) | Self::AdamW8bit(_) | Self::Muon(..) => &[],
            Self::Lion { .. } => &["adam_epsilon"],
            Self::Adafactor | Self::Sgd(_) => &["adam_beta1", "adam_beta2", "adam_epsilon"],
        }
    }
}
