//! What each loss costs at batch 64, forward and backward: `cargo bench -p align-losses`, or a part of it by
//! `-- pairs/`, `-- tokens/grpo`.
//!
//! `-- --values` prints the loss and the sum of its absolute gradients instead, so that other code that is timed
//! beside it (`against_pytorch.py`) can be shown to compute the same. Formulas are not checked here: the golden tests
//! do that.

mod inputs;
mod logits;
mod pairs;
mod singles;
mod tokens;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};
use criterion::Criterion;

/// A loss on fixed inputs, reduced to one number.
struct Case {
    name: String,
    variables: Vec<Var>,
    loss: Box<dyn Fn() -> Result<Tensor>>,
}

impl Case {
    fn new(name: &str, variables: &[&Var], loss: impl Fn() -> Result<Tensor> + 'static) -> Self {
        let variables = variables.iter().map(|&variable| variable.clone()).collect();
        Self { name: name.to_owned(), variables, loss: Box::new(loss) }
    }

    fn gradients(&self) -> Result<(Tensor, GradStore)> {
        let loss = (self.loss)()?;
        let gradients = loss.backward()?;
        Ok((loss, gradients))
    }

    fn value_and_slope(&self) -> Result<(f32, f32)> {
        let (loss, gradients) = self.gradients()?;
        let mut slope = 0.0;
        for gradient in self.variables.iter().filter_map(|variable| gradients.get(variable)) {
            slope += gradient.abs()?.sum_all()?.to_scalar::<f32>()?;
        }
        Ok((loss.to_scalar()?, slope))
    }
}

#[expect(clippy::print_stdout, reason = "a report that was asked for")]
fn main() -> Result<()> {
    let cases = [pairs::cases()?, singles::cases()?, tokens::cases()?, logits::cases()?];
    if std::env::args().any(|argument| argument == "--values") {
        for case in cases.iter().flatten() {
            let (value, slope) = case.value_and_slope()?;
            println!("{} {value:e} {slope:e}", case.name);
        }
        return Ok(());
    }
    let mut criterion = Criterion::default().configure_from_args();
    for case in cases.iter().flatten() {
        criterion.bench_function(&case.name, |bencher| {
            bencher.iter(|| case.gradients().expect("the inputs have the shapes that the loss wants"));
        });
    }
    criterion.final_summary();
    Ok(())
}
