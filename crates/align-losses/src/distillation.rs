//! Learning from a teacher's whole distribution at each token.

use candle_core::{D, Result, Tensor};

use crate::checks::{at_least_f32, between_0_and_1, constant_like, positive, same_shape};
use crate::likelihood::log_softmax;
use crate::numerics::log_sigmoid;

/// Generalised Jensen–Shannon divergence of generalised knowledge distillation (Agarwal et al. 2024,
/// arXiv:2306.13649, eq. 1), per token.
///
/// D = β·KL(teacher ‖ M) + (1 − β)·KL(student ‖ M), M = β·teacher + (1 − β)·student
///
/// At the ends, where that is 0, TRL puts what it tends to when divided by β or 1 − β: β = 0 is KL(teacher ‖ student)
/// (covers the teacher's modes), β = 1 KL(student ‖ teacher) (keeps to one of them).
///
/// Logits `[.., vocab]` of both, divided by `temperature` → `[..]`; the teacher is held constant. TRL's `batchmean` is
/// the mean over the tokens that count: [`masked_mean`](crate::masked_mean).
///
/// A logit may be −∞ (an entry of the vocabulary that is masked out), in one of the two or in both: it has the
/// probability 0 and gets no gradient. At the ends only, β = 0 and β = 1, an entry that the first distribution of the
/// KL can say and the second cannot makes the divergence infinite.
///
/// # Errors
/// If the shapes differ, β is outside [0, 1], or the temperature is not a positive number.
pub fn generalized_jsd(student: &Tensor, teacher: &Tensor, beta: f64, temperature: f64) -> Result<Tensor> {
    let beta = between_0_and_1("beta", beta)?;
    let temperature = positive("temperature", temperature)?;
    same_shape("the teacher's logits", teacher, "the student's", student)?;
    let student = log_softmax(&(at_least_f32("the student's logits", student)? / temperature)?)?;
    let teacher = log_softmax(&(constant_like("the teacher's logits", teacher, &student)? / temperature)?)?;
    if beta == 0.0 {
        return kl(&teacher, &student);
    }
    if beta == 1.0 {
        return kl(&student, &teacher);
    }
    let mixture = log_sum(&(&student + (-beta).ln_1p())?, &(&teacher + beta.ln())?)?;
    (kl(&teacher, &mixture)? * beta)? + (kl(&student, &mixture)? * (1.0 - beta))?
}

/// log(eˣ + eʸ), elementwise; −∞ where both are. As the larger one − log σ(larger − smaller), which loses nothing
/// where one of them is tiny or 0.
fn log_sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let x_larger = x.ge(y)?;
    let larger = x_larger.where_cond(x, y)?;
    let possible = larger.gt(f64::NEG_INFINITY)?;
    let gap = x_larger.where_cond(&(x - y)?, &(y - x)?)?;
    larger - log_sigmoid(&possible.where_cond(&gap, &gap.zeros_like()?)?)?
}

/// Σ_v p(v)·(log p(v) − log q(v)) of log-probs `[.., vocab]`; what p cannot say adds nothing.
fn kl(p: &Tensor, q: &Tensor) -> Result<Tensor> {
    let gap = (p - q)?;
    let gap = p.gt(f64::NEG_INFINITY)?.where_cond(&gap, &gap.zeros_like()?)?;
    (p.exp()? * gap)?.sum(D::Minus1)
}
