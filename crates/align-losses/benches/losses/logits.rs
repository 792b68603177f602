//! What is computed from whole logits, of 64 rows of 128 tokens over a vocabulary of 512.

use align_losses::{
    entropy, exact_kl, generalized_jsd, label_log_probs, label_smoothed_nll, log_sum_sq_probs, masked_mean,
};
use candle_core::{DType, Result, Tensor};

use crate::Case;
use crate::inputs::{ROWS, SEQ, VOCAB, mask, uniform, variable, whole};

/// By logits, the teacher's or reference's logits, and labels: a value per token.
type Loss = fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;

const LOSSES: [(&str, Loss); 5] = [
    ("label_log_probs", |logits, _, labels| label_log_probs(logits, labels)),
    ("entropy", |logits, _, _| entropy(logits)),
    ("log_sum_sq_probs", |logits, _, _| log_sum_sq_probs(logits)),
    ("exact_kl", |logits, reference, _| exact_kl(logits, reference)),
    ("generalized_jsd", |logits, teacher, _| generalized_jsd(logits, teacher, 0.5, 1.0)),
];

pub(crate) fn cases() -> Result<Vec<Case>> {
    let shape = (ROWS, SEQ, VOCAB);
    let (logits, other) = (variable(30, shape, -4.0, 4.0)?, uniform(31, shape, -4.0, 4.0)?);
    let labels = whole(32, (ROWS, SEQ), 0.0, VOCAB as f64)?.to_dtype(DType::U32)?;
    let mask = mask()?;
    let of = |(name, loss): (&str, Loss)| {
        let (variable, other, labels, mask) = (logits.clone(), other.clone(), labels.clone(), mask.clone());
        Case::new(&format!("logits/{name}"), &[&logits], move || {
            masked_mean(&loss(&variable, &other, &labels)?, &mask)
        })
    };
    let mut cases: Vec<Case> = LOSSES.into_iter().map(of).collect();
    let variable = logits.clone();
    cases.push(Case::new("logits/label_smoothed_nll", &[&logits], move || {
        masked_mean(&label_smoothed_nll(&variable, &labels, &mask, 0.1)?, &mask)
    }));
    Ok(cases)
}
