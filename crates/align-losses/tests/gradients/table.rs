//! Every offline loss under one signature, with what holds for it: one test per law, not one per loss.

use align_losses::{
    FDivergence, LogRatios, PairLengths, PairLogProbs, aot, aot_unpaired, apo_down, apo_zero,
    apo_zero_unpaired, bco, bco_pair, cdpo, cdpo_with_margin, chosen_nll, cpo, cpo_hinge, cpo_ipo, discopop,
    dpo, dpo_length_normalized, dpop, exo_pair, hinge, ipo, ipo_length_normalized, kto, nca_pair,
    orpo_odds_ratio, rdpo, robust_dpo, simpo, slic, sppo_hard, tpo_l,
};
use candle_core::{Device, Result, Tensor};

type PairedLoss = fn(&PairLogProbs, &PairLogProbs, &PairLengths) -> Result<Tensor>;
type UnpairedLoss = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// A loss on pairs, from policy, reference and lengths.
pub(crate) struct Paired {
    pub(crate) name: &'static str,
    pub(crate) losses: PairedLoss,
    /// A chosen answer that gets likelier, or a rejected one that gets less likely, never raises it.
    pub(crate) monotone: bool,
    /// ℓ(pair) − ℓ(pair with its answers exchanged) = −β·h.
    pub(crate) antisymmetric: bool,
    /// The results belong to pairs, not to the batch's quantiles.
    pub(crate) by_pair: bool,
    /// Has a corner where the policy equals the reference.
    pub(crate) corner: bool,
}

impl Paired {
    const fn new(name: &'static str, losses: PairedLoss) -> Self {
        Self { name, losses, monotone: false, antisymmetric: false, by_pair: true, corner: false }
    }

    const fn monotone(self) -> Self {
        Self { monotone: true, ..self }
    }

    const fn antisymmetric(self) -> Self {
        Self { antisymmetric: true, ..self }
    }

    const fn of_quantiles(self) -> Self {
        Self { by_pair: false, ..self }
    }

    const fn with_corner(self) -> Self {
        Self { corner: true, ..self }
    }
}

/// The β of all losses here.
pub(crate) const BETA: f64 = 0.1;

fn ratios(policy: &PairLogProbs, reference: &PairLogProbs) -> Result<LogRatios> {
    LogRatios::new(policy, reference)
}

fn diverging(policy: &PairLogProbs, reference: &PairLogProbs, divergence: FDivergence) -> Result<Tensor> {
    dpo(&ratios(policy, reference)?.with_divergence(divergence)?, BETA)
}

pub(crate) const PAIRED: [Paired; 37] = [
    Paired::new("dpo", |p, r, _| dpo(&ratios(p, r)?, BETA)).monotone().antisymmetric(),
    Paired::new("dpo without reference", |p, _, _| dpo(&LogRatios::reference_free(p)?, BETA)).monotone(),
    Paired::new("cdpo", |p, r, _| cdpo(&ratios(p, r)?, BETA, 0.2)),
    Paired::new("cdpo_with_margin", |p, r, _| cdpo_with_margin(&ratios(p, r)?, BETA, 0.5, 0.0)).monotone(),
    Paired::new("robust_dpo", |p, r, _| robust_dpo(&ratios(p, r)?, BETA, 0.2)).monotone(),
    Paired::new("hinge", |p, r, _| hinge(&ratios(p, r)?, BETA)).monotone(),
    Paired::new("dpo_length_normalized", |p, r, n| dpo_length_normalized(&ratios(p, r)?, n, BETA)).monotone(),
    Paired::new("ipo", |p, r, _| ipo(&ratios(p, r)?, BETA)),
    Paired::new("ipo_length_normalized", |p, r, n| ipo_length_normalized(&ratios(p, r)?, n, BETA)),
    Paired::new("sppo_hard", |p, r, _| sppo_hard(&ratios(p, r)?, BETA)),
    Paired::new("exo_pair", |p, r, _| exo_pair(&ratios(p, r)?, BETA, 1e-3)),
    Paired::new("nca_pair", |p, r, _| nca_pair(&ratios(p, r)?, BETA)),
    Paired::new("bco_pair", |p, r, _| bco_pair(&ratios(p, r)?, BETA, 0.3)).monotone(),
    Paired::new("apo_zero", |p, r, _| apo_zero(&ratios(p, r)?, BETA)).monotone(),
    Paired::new("apo_down", |p, r, _| apo_down(&ratios(p, r)?, BETA)),
    Paired::new("discopop", |p, r, _| discopop(&ratios(p, r)?, BETA, 0.05)),
    Paired::new("discopop, wide", |p, r, _| discopop(&ratios(p, r)?, BETA, 2.0)),
    Paired::new("aot", |p, r, _| aot(p, r, BETA, 0.1)).of_quantiles(),
    Paired::new("aot_unpaired", |p, r, _| aot_unpaired(&ratios(p, r)?, BETA, 0.1)).of_quantiles(),
    Paired::new("forward KL", |p, r, _| diverging(p, r, FDivergence::ForwardKl)).monotone(),
    Paired::new("Jensen-Shannon", |p, r, _| diverging(p, r, FDivergence::JensenShannon)).monotone(),
    Paired::new("alpha 0.5", |p, r, _| diverging(p, r, FDivergence::Alpha(0.5))).monotone(),
    Paired::new("alpha 2", |p, r, _| diverging(p, r, FDivergence::Alpha(2.0))).monotone(),
    Paired::new("the paper's alpha", |p, r, _| diverging(p, r, FDivergence::PaperAlpha(0.5))).monotone(),
    Paired::new("dpop", |p, r, _| dpop(&ratios(p, r)?, BETA, 5.0)).monotone().with_corner(),
    Paired::new("rdpo", |p, r, n| rdpo(&ratios(p, r)?, n, BETA, 0.02)).monotone(),
    Paired::new("chosen_nll", |p, _, n| chosen_nll(p, n)).monotone(),
    Paired::new("cpo", |p, _, _| cpo(p, BETA, 0.0)).monotone(),
    Paired::new("cpo_hinge", |p, _, _| cpo_hinge(p, BETA)).monotone(),
    Paired::new("cpo_ipo", |p, _, n| cpo_ipo(p, n, BETA)),
    Paired::new("simpo", |p, _, n| simpo(p, n, 2.0, 1.0, 0.0)).monotone(),
    Paired::new("tpo_l", |p, _, n| tpo_l(p, n, 2.0, 1.0, 0.1)),
    Paired::new("slic", |p, _, _| slic(p, 1.0, 0.1)).monotone(),
    Paired::new("AlphaPO", |p, _, n| {
        cdpo_with_margin(&LogRatios::reference_free(p)?.per_token(n)?.alphapo(0.25)?, 2.0, 1.0, 0.0)
    })
    .monotone(),
    Paired::new("AlphaPO on sums", |p, _, _| cdpo(&LogRatios::reference_free(p)?.alphapo(0.1)?, BETA, 0.0))
        .monotone(),
    Paired::new("AlphaPO below zero", |p, _, n| {
        cdpo_with_margin(&LogRatios::reference_free(p)?.per_token(n)?.alphapo(-0.5)?, 2.0, 1.0, 0.0)
    })
    .monotone(),
    Paired::new("orpo_odds_ratio", |p, _, n| orpo_odds_ratio(p, n)?.log_sigmoid * -BETA).monotone(),
];

/// Losses on single answers, from log-ratios and a mask of the desirable ones.
pub(crate) const UNPAIRED: [(&str, UnpairedLoss); 4] = [
    ("kto", |ratios, desirable| kto(ratios, desirable, &Tensor::new(0.7, &Device::Cpu)?, 0.1)),
    ("apo_zero_unpaired", |ratios, desirable| apo_zero_unpaired(ratios, desirable, 0.1)),
    ("bco", |ratios, desirable| bco(ratios, desirable, 0.1, 0.3)),
    ("bco, far", |ratios, desirable| bco(ratios, desirable, 1.0, -40.0)),
];

pub(crate) fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

pub(crate) fn model(chosen: &[f64], rejected: &[f64]) -> PairLogProbs {
    PairLogProbs { chosen: tensor(chosen), rejected: tensor(rejected) }
}

/// Lengths that differ within and between pairs.
pub(crate) fn lengths(pairs: usize) -> PairLengths {
    let cycle =
        |lengths: [u32; 4]| Tensor::from_iter(lengths.into_iter().cycle().take(pairs), &Device::Cpu).unwrap();
    PairLengths { chosen: cycle([3, 8, 1, 40]), rejected: cycle([5, 2, 1, 300]) }
}
