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
    // log(e^x + e^y) = x − log σ(x − y)
    let of_student = (&student + (-beta).ln_1p())?;
    let of_teacher = (&teacher + beta.ln())?;
    let mixture = (&of_student - log_sigmoid(&(&of_student - of_teacher)?)?)?;
    (kl(&teacher, &mixture)? * beta)? + (kl(&student, &mixture)? * (1.0 - beta))?
}

/// Σ_v p(v)·(log p(v) − log q(v)) of log-probs `[.., vocab]`.
fn kl(p: &Tensor, q: &Tensor) -> Result<Tensor> {
    (p.exp()? * (p - q)?)?.sum(D::Minus1)
}
