//! Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): a part of the graph that keeps only its
//! input and runs again in the backward pass.

use candle_core::{Result, Tensor, Var, bail};

use crate::accumulate::Recorded;

/// `run(x)`, whose intermediate results are dropped, and computed once more when its gradient is asked for.
///
/// Values and gradients are those of `run(x)`, bit for bit, as long as `run` gives the same result each
/// time; a result that is a view of `x` (a transpose, a part) becomes a copy. Gradients of the parameters that it uses go to their buffers as ever. Where no gradient of `x` is
/// asked for there would be no backward pass to run it in, so it is plain `run(x)` then.
///
/// # Errors
/// What `run` raises, now or in the backward pass.
pub fn checkpoint(
    x: &Tensor,
    run: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !x.track_op() {
        return run(x);
    }
    let input = x.detach();
    let value = run(&input)?.detach();
    let backward = move |grad: &Tensor| {
        let input = Var::from_tensor(&input)?;
        // The gradient of Σ y ⊙ g is that of y, times g.
        let mut grads = (run(input.as_tensor())? * grad.detach())?.sum_all()?.backward()?;
        match grads.remove(input.as_tensor()) {
            Some(grad) => Ok([Some(grad)]),
            None => bail!("checkpoint: the result does not depend on the input"),
        }
    };
    x.apply_op1(Recorded { name: "checkpoint", value, backward })
}
