//! Preference pairs by their sequence log-probs: `dpo.*`, `dpo24.*` (TRL up to 0.24), `cpo.*`, `orpo.*`, `tpo.*`.

use align_losses::{
    FDivergence, LogRatios, PairLengths, PairLogProbs, aot, aot_unpaired, apo_down, apo_zero, bco_pair, cdpo,
    cdpo_with_margin, chosen_nll, cpo, cpo_hinge, cpo_ipo, discopop, dpo_length_normalized, dpop, exo_pair,
    hinge, ipo, ipo_length_normalized, nca_pair, orpo_odds_ratio, rdpo, robust_dpo, simpo, slic, sppo_hard,
    tpo_l,
};
use candle_core::{Result, Tensor, Var, bail};
use serde_json::Value;

use crate::inputs::{Computed, Inputs};

/// TRL's `discopop_tau`, which the cases leave at its default.
const DISCOPOP_TAU: f64 = 0.05;

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    let Some((family, kind)) = inputs.case.loss.split_once('.') else { return Ok(None) };
    let by_tokens = matches!(kind, "ld_alpha" | "wpo" | "sft.per_token");
    if by_tokens || !matches!(family, "dpo" | "dpo24" | "cpo" | "tpo" | "orpo") {
        return Ok(None);
    }
    let pairs = Pairs::of(inputs)?;
    match family {
        "dpo" if kind == "mpo" => mixture(inputs, &pairs).map(Some),
        "dpo" => of_dpo(inputs, &pairs, kind.trim_end_matches(".fdiv")),
        "dpo24" => of_old_dpo(inputs, &pairs, kind),
        "cpo" => of_cpo(inputs, &pairs, kind.trim_end_matches(".alphapo")),
        "tpo" => of_tpo(inputs, &pairs, kind),
        _ => odds_ratio(inputs, &pairs).map(Some),
    }
}

/// Pairs and what the losses take of them.
pub(crate) struct Pairs {
    chosen: Var,
    rejected: Var,
    pub(crate) policy: PairLogProbs,
    pub(crate) reference: PairLogProbs,
    pub(crate) lengths: PairLengths,
    pub(crate) ratios: LogRatios,
}

impl Pairs {
    fn of(inputs: &Inputs<'_>) -> Result<Self> {
        let (chosen, rejected) = (inputs.var("chosen_logps")?, inputs.var("rejected_logps")?);
        let policy =
            PairLogProbs { chosen: chosen.as_tensor().clone(), rejected: rejected.as_tensor().clone() };
        let reference = PairLogProbs {
            chosen: inputs.tensor("ref_chosen_logps")?,
            rejected: inputs.tensor("ref_rejected_logps")?,
        };
        let lengths =
            PairLengths { chosen: inputs.tensor("chosen_len")?, rejected: inputs.tensor("rejected_len")? };
        let ratios = LogRatios::new(&policy, &reference)?;
        Ok(Self { chosen, rejected, policy, reference, lengths, ratios })
    }

    /// The mean of losses, its gradients, and the losses.
    fn computed(&self, inputs: &Inputs<'_>, losses: &Tensor) -> Result<Computed> {
        let variables = [("chosen_logps", &self.chosen), ("rejected_logps", &self.rejected)];
        Computed::of(losses.mean_all()?, &variables)?.with(inputs.case, "per_sequence", || Ok(losses.clone()))
    }

    /// The same, with the rewards that these log-ratios imply.
    fn with_rewards(&self, inputs: &Inputs<'_>, losses: &Tensor, ratios: &LogRatios) -> Result<Computed> {
        let rewards = ratios.rewards(inputs.number("beta")?)?;
        self.computed(inputs, losses)?
            .with(inputs.case, "chosen_rewards", || Ok(rewards.chosen.clone()))?
            .with(inputs.case, "rejected_rewards", || Ok(rewards.rejected.clone()))?
            .with(inputs.case, "rewards/chosen", || rewards.chosen.mean_all())?
            .with(inputs.case, "rewards/rejected", || rewards.rejected.mean_all())?
            .with(inputs.case, "rewards/margins", || (&rewards.chosen - &rewards.rejected)?.mean_all())
    }
}

fn of_dpo(inputs: &Inputs<'_>, pairs: &Pairs, kind: &str) -> Result<Option<Computed>> {
    match (kind, dpo_losses(inputs, pairs, kind)?) {
        (_, None) => Ok(None),
        ("slic", Some(losses)) => pairs.computed(inputs, &losses).map(Some),
        (_, Some(losses)) => pairs.with_rewards(inputs, &losses, &pairs.ratios).map(Some),
    }
}

/// TRL 1.x's `loss_type`, and those of papers it does not have.
pub(crate) fn dpo_losses(inputs: &Inputs<'_>, pairs: &Pairs, kind: &str) -> Result<Option<Tensor>> {
    let beta = inputs.number_if_given("beta")?.unwrap_or(f64::NAN);
    let smoothing = inputs.number_if_given("label_smoothing")?.unwrap_or(0.0);
    let ratios = &pairs.ratios;
    let scores = ratios.with_divergence(divergence(inputs, FDivergence::Alpha)?)?;
    let losses = match kind {
        "sigmoid" => cdpo(&scores, beta, smoothing),
        "hinge" => hinge(&scores, beta),
        "ipo" => ipo_length_normalized(&scores, &pairs.lengths, beta),
        "sigmoid_norm" => dpo_length_normalized(&scores, &pairs.lengths, beta),
        "exo_pair" => exo_pair(&scores, beta, smoothing),
        "robust" => robust_dpo(&scores, beta, smoothing),
        "discopop" => discopop(&scores, beta, DISCOPOP_TAU),
        "nca_pair" => nca_pair(ratios, beta),
        "bco_pair" => bco_pair(ratios, beta, 0.0),
        "sppo_hard" => sppo_hard(ratios, beta),
        "aot" => aot(&pairs.policy, &pairs.reference, beta, smoothing),
        "aot_unpaired" => aot_unpaired(ratios, beta, smoothing),
        "apo_zero" => apo_zero(ratios, beta),
        "apo_down" => apo_down(ratios, beta),
        "sft" => token_mean_nll(pairs),
        "rdpo_length" => rdpo(ratios, &pairs.lengths, beta, inputs.number("length_alpha")?),
        "dpop" => dpop(ratios, beta, inputs.number("lam")?),
        "rpo" => {
            let likelihood = chosen_nll(&pairs.policy, &pairs.lengths)?;
            cdpo(ratios, beta, smoothing)? + (likelihood * inputs.number("rpo_alpha")?)?
        }
        "slic" => slic(&pairs.policy, inputs.number("delta")?, inputs.number("reg")?),
        _ => return Ok(None),
    };
    losses.map(Some)
}

/// TRL's `sft` term: each token of the batch counts the same.
fn token_mean_nll(pairs: &Pairs) -> Result<Tensor> {
    let tokens = &pairs.lengths.chosen;
    let of_pairs = (chosen_nll(&pairs.policy, &pairs.lengths)? * tokens)?;
    of_pairs.sum_all()?.div(&tokens.sum_all()?)?.broadcast_as(of_pairs.dims())
}

fn divergence(inputs: &Inputs<'_>, alpha: fn(f64) -> FDivergence) -> Result<FDivergence> {
    Ok(match inputs.word("f_divergence") {
        "" | "reverse_kl" => FDivergence::ReverseKl,
        "forward_kl" => FDivergence::ForwardKl,
        "js_divergence" => FDivergence::JensenShannon,
        "alpha_divergence" => alpha(inputs.number("alpha")?),
        other => bail!("unknown divergence {other}"),
    })
}

fn mixture(inputs: &Inputs<'_>, pairs: &Pairs) -> Result<Computed> {
    let list =
        |name: &str| inputs.case.params.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut sum = pairs.policy.chosen.zeros_like()?;
    for (kind, weight) in list("loss_type").iter().zip(list("loss_weights")) {
        let (Some(kind), Some(weight)) = (kind.as_str(), weight.as_f64()) else {
            bail!("no loss and weight")
        };
        let Some(losses) = dpo_losses(inputs, pairs, kind)? else { bail!("unknown loss {kind}") };
        sum = (sum + (losses * weight)?)?;
    }
    pairs.computed(inputs, &sum)
}

fn of_old_dpo(inputs: &Inputs<'_>, pairs: &Pairs, kind: &str) -> Result<Option<Computed>> {
    let (beta, smoothing) = (inputs.number("beta")?, inputs.number("label_smoothing")?);
    let ratios = if inputs.flag("reference_free") {
        LogRatios::reference_free(&pairs.policy)?
    } else {
        pairs.ratios.clone()
    };
    let scores = ratios.with_divergence(divergence(inputs, FDivergence::PaperAlpha)?)?;
    let losses = match kind {
        "sigmoid" => cdpo(&scores, beta, smoothing)?,
        "robust" => robust_dpo(&scores, beta, smoothing)?,
        "hinge" => hinge(&scores, beta)?,
        "ipo" => ipo(&scores, beta)?,
        "aot_pair" => aot_unpaired(&pairs.ratios, beta, smoothing)?,
        "bco_pair" => {
            let rewards = pairs.ratios.rewards(beta)?;
            let mean = Tensor::cat(&[rewards.chosen, rewards.rejected], 0)?.mean_all()?;
            // TRL keeps its running mean in f32.
            let delta = mean.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()?;
            bco_pair(&pairs.ratios, beta, f64::from(delta))?
        }
        _ => return Ok(None),
    };
    // TRL reports the rewards against the reference, whether the loss has one or not.
    pairs.with_rewards(inputs, &losses, &pairs.ratios).map(Some)
}

fn of_cpo(inputs: &Inputs<'_>, pairs: &Pairs, kind: &str) -> Result<Option<Computed>> {
    let (beta, smoothing) = (inputs.number("beta")?, inputs.number("label_smoothing")?);
    let (gamma, alpha) = (inputs.number("simpo_gamma")?, inputs.number("alpha")?);
    let averaged = inputs.flag("average_log_prob");
    let mut rewards = LogRatios::reference_free(&pairs.policy)?;
    if averaged {
        rewards = rewards.per_token(&pairs.lengths)?;
    }
    rewards = rewards.alphapo(alpha)?;
    let losses = match (kind, averaged, alpha == 0.0) {
        ("sigmoid", false, true) => cpo(&pairs.policy, beta, smoothing),
        ("hinge", false, true) => cpo_hinge(&pairs.policy, beta),
        ("ipo", true, true) => cpo_ipo(&pairs.policy, &pairs.lengths, beta),
        ("simpo", true, true) => simpo(&pairs.policy, &pairs.lengths, beta, gamma, smoothing),
        ("sigmoid", ..) => cdpo(&rewards, beta, smoothing),
        ("hinge", ..) => hinge(&rewards, beta),
        ("ipo", ..) => ipo(&rewards, beta),
        ("simpo", ..) => cdpo_with_margin(&rewards, beta, gamma, smoothing),
        _ => return Ok(None),
    };
    pairs.with_rewards(inputs, &losses?, &rewards).map(Some)
}

fn of_tpo(inputs: &Inputs<'_>, pairs: &Pairs, kind: &str) -> Result<Option<Computed>> {
    let (beta, smoothing) = (inputs.number("beta")?, inputs.number("label_smoothing")?);
    let losses = match kind {
        "sigmoid" => cpo(&pairs.policy, beta, smoothing),
        "hinge" => cpo_hinge(&pairs.policy, beta),
        "ipo" => cpo_ipo(&pairs.policy, &pairs.lengths, beta),
        "tpo-l" => tpo_l(&pairs.policy, &pairs.lengths, beta, inputs.number("tpo_l_gamma")?, smoothing),
        _ => return Ok(None),
    };
    pairs.computed(inputs, &losses?).map(Some)
}

fn odds_ratio(inputs: &Inputs<'_>, pairs: &Pairs) -> Result<Computed> {
    let ratio = orpo_odds_ratio(&pairs.policy, &pairs.lengths)?;
    pairs
        .computed(inputs, &(&ratio.log_sigmoid * -inputs.number("beta")?)?)?
        .with(inputs.case, "log_odds", || Ok(ratio.log_odds))?
        .with(inputs.case, "log_sigmoid_log_odds", || Ok(ratio.log_sigmoid))
}
