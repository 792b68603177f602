//! Losses on 64 single answers, and on the scores of a reward model.

use align_losses::{
    apo_zero_unpaired, bco, bradley_terry, bradley_terry_with_margin, desirability_weighted, kto, kto_kl,
    pairwise_ranking, plackett_luce, reward_centering, reward_regression,
};
use candle_core::{Result, Tensor};

use crate::Case;
use crate::inputs::{ROWS, uniform, variable};

const BETA: f64 = 0.1;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = unpaired()?;
    cases.extend(scores()?);
    Ok(cases)
}

fn unpaired() -> Result<Vec<Case>> {
    let policy = variable(0, ROWS, -60.0, -20.0)?;
    let reference = (policy.detach() + uniform(2, ROWS, -5.0, 5.0)?)?;
    let desirable = uniform(6, ROWS, 0.0, 1.0)?.lt(0.5)?;
    let mismatched = uniform(7, ROWS, -60.0, -20.0)?;
    let mismatched_reference = (&mismatched - uniform(8, ROWS, -1.0, 3.0)?)?;
    let of = |name: &str, loss: fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
        let (variable, desirable) = (policy.clone(), desirable.clone());
        let (reference, mismatched) = (reference.clone(), (mismatched.clone(), mismatched_reference.clone()));
        Case::new(&format!("unpaired/{name}"), &[&policy], move || {
            let ratios = (variable.as_tensor() - &reference)?;
            loss(&ratios, &desirable, &kto_kl(&mismatched.0, &mismatched.1)?)?.mean_all()
        })
    };
    Ok(vec![
        of("kto", |ratios, desirable, kl| {
            desirability_weighted(&kto(ratios, desirable, kl, BETA)?, desirable, 1.0, 1.33)
        }),
        of("apo_zero_unpaired", |ratios, desirable, _| apo_zero_unpaired(ratios, desirable, BETA)),
        of("bco", |ratios, desirable, _| bco(ratios, desirable, BETA, 0.05)),
    ])
}

fn scores() -> Result<Vec<Case>> {
    let (chosen, rejected) = (variable(10, ROWS, -3.0, 3.0)?, variable(11, ROWS, -3.0, 3.0)?);
    let margin = uniform(12, ROWS, 0.0, 1.0)?;
    let of = |name: &str, loss: fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
        let (better, worse, margin) = (chosen.clone(), rejected.clone(), margin.clone());
        Case::new(&format!("reward/{name}"), &[&chosen, &rejected], move || {
            loss(&better, &worse, &margin)?.mean_all()
        })
    };
    let ranked = |name: &str, loss: fn(&Tensor, &Tensor) -> Result<Tensor>| -> Result<Case> {
        let scores = variable(13, (ROWS, 4), -3.0, 3.0)?;
        let (variable, mask) = (scores.clone(), scores.ones_like()?);
        Ok(Case::new(&format!("reward/{name}"), &[&scores], move || loss(&variable, &mask)?.mean_all()))
    };
    Ok(vec![
        of("bradley_terry", |better, worse, _| bradley_terry(better, worse)),
        of("bradley_terry_with_margin", bradley_terry_with_margin),
        of("centered_bradley_terry", |better, worse, _| {
            bradley_terry(better, worse)? + (reward_centering(better, worse)? * 0.01)?
        }),
        of("reward_regression", |better, _, target| reward_regression(better, target)),
        ranked("plackett_luce", plackett_luce)?,
        ranked("pairwise_ranking", pairwise_ranking)?,
    ])
}
