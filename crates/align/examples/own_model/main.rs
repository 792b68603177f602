//! A model of one's own over the training engine: the reward network of the example `candle_nn`, with exact accumulation, a
//! learning-rate schedule, clipping, and the check that every parameter gets a gradient.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

#[path = "../candle_nn/embeddings.rs"]
mod embeddings;

use align::candle::{D, Device, Tensor};
use align::engine::{
    Curve, Floor, Metrics, Objective, OptimizerConfig, Result, Schedule, StepLoss, Updater, Weights,
};
use align::kernels::{Param, Params, linear};
use align::losses::bradley_terry;
use embeddings::{WIDTH, pairs};

/// Scores of answers by their embeddings, and the loss that teaches them.
struct RewardModel {
    hidden: Param,
    score: Param,
}

impl RewardModel {
    /// Embeddings `[answers, WIDTH]` → scores `[answers]`.
    fn scores(&self, embeddings: &Tensor) -> align::candle::Result<Tensor> {
        linear(&linear(embeddings, &self.hidden, None)?.relu()?, &self.score, None)?.squeeze(D::Minus1)
    }
}

impl Objective for RewardModel {
    type Batch = (Tensor, Tensor);

    fn weights(&self, (chosen, _): &Self::Batch) -> Weights {
        Weights::of("pairs", chosen.dims()[0] as f64)
    }

    fn loss<'a>(&'a self, (chosen, rejected): &'a Self::Batch, totals: &Weights) -> Result<StepLoss<'a>> {
        let (chosen, rejected) = (self.scores(chosen)?, self.scores(rejected)?);
        let loss = (bradley_terry(&chosen, &rejected)?.sum_all()? / totals.get("pairs"))?;
        let (chosen, rejected) = (chosen.detach(), rejected.detach());
        Ok(StepLoss::new(loss, move || {
            let right = chosen.gt(&rejected)?.to_dtype(align::candle::DType::F32)?;
            let mut metrics = Metrics::default();
            metrics.mean(
                "accuracy",
                f64::from(right.sum_all()?.to_scalar::<f32>()?),
                right.elem_count() as f64,
            );
            Ok(metrics)
        }))
    }

    fn rows(&self, (chosen, _): &Self::Batch) -> Vec<String> {
        (0..chosen.dims()[0]).map(|row| format!("pair {row}")).collect()
    }
}

fn main() -> Result<()> {
    let random = |shape: (usize, usize)| Param::tracked(&Tensor::randn(0f32, 0.3, shape, &Device::Cpu)?);
    let mut model = RewardModel { hidden: random((32, WIDTH))?, score: random((1, 32))? };
    let mut params = Params::default();
    params.insert("hidden", model.hidden.clone())?;
    params.insert("score", model.score.clone())?;
    let schedule = Schedule {
        curve: Curve::Cosine { num_cycles: 0.5, floor: Floor::Rate(0.0) },
        learning_rate: 1e-2,
        warmup_steps: 5,
        total_steps: 80,
    };
    let mut updater = Updater::new(&params, OptimizerConfig::default(), schedule, Some(1.0))?;
    let window = [pairs(128, 1)?, pairs(64, 3)?];
    let mut accuracy = None;
    while updater.step() < updater.total_steps() {
        let update = updater.update(&mut model, &window)?;
        accuracy = update.metrics.get("accuracy");
    }
    println!("accuracy {accuracy:?}");
    assert!(accuracy.is_some_and(|accuracy| accuracy > 0.9));
    Ok(())
}
