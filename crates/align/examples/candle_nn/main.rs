//! A model of candle-nn with candle-nn's optimizer and a loss of align-losses: a reward model as a small network over
//! embeddings of answers, trained on which of two is better.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

mod embeddings;

use align::candle::{DType, Device, Result, Tensor};
use align::losses::bradley_terry;
use candle_nn::{Activation, AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear};
use embeddings::{WIDTH, pairs};

/// Scores of answers by their embeddings.
struct RewardModel {
    hidden: Linear,
    score: Linear,
}

impl RewardModel {
    fn new(vars: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self { hidden: linear(WIDTH, 32, vars.pp("hidden"))?, score: linear(32, 1, vars.pp("score"))? })
    }

    /// Embeddings `[answers, WIDTH]` → scores `[answers]`.
    fn scores(&self, embeddings: &Tensor) -> Result<Tensor> {
        self.score.forward(&Activation::Relu.forward(&self.hidden.forward(embeddings)?)?)?.squeeze(1)
    }
}

fn main() -> Result<()> {
    let vars = VarMap::new();
    let model = RewardModel::new(&VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
    let mut optimizer = AdamW::new(vars.all_vars(), ParamsAdamW { lr: 1e-2, ..ParamsAdamW::default() })?;
    let (chosen, rejected) = pairs(256, 1)?;
    for step in 0..60 {
        let loss = bradley_terry(&model.scores(&chosen)?, &model.scores(&rejected)?)?.mean_all()?;
        optimizer.backward_step(&loss)?;
        if step % 20 == 0 {
            println!("step {step}: loss {:.4}", loss.to_scalar::<f32>()?);
        }
    }
    let (chosen, rejected) = pairs(256, 2)?;
    let right = model.scores(&chosen)?.gt(&model.scores(&rejected)?)?;
    let accuracy = right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
    println!("held-out accuracy {accuracy:.3}");
    assert!(accuracy > 0.9);
    Ok(())
}
