//! What training must not do silently: go on with a loss or gradient that is not finite, or leave a
//! parameter out.

use std::path::Path;

use crate::toy::{Finished, Loader, Regression, Row, options, rows, train, train_with};
use align_kernels::{Param, Params};
use align_train::{Objective, Ranks, Result, StepLoss, Stop, Weights, evaluate};
use candle_core::{Device, Tensor};

fn message(result: Result<Finished>) -> String {
    result.err().expect("training must stop").to_string()
}

fn single_rows() -> align_train::TrainOptions {
    options(|options| {
        options.per_device_train_batch_size = 1;
        options.gradient_accumulation_steps = 2;
    })
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_names_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let objective = Regression::new();
    let (params, before) = (objective.params.clone(), objective.bits());
    let error = message(train_with(dir.path(), &single_rows(), objective, |batches| {
        batches.shuffled = false;
        batches.rows[1].y = f32::NAN;
    }));
    assert!(error.starts_with("step 1: the loss is NaN; rows of the micro-batch: toy.jsonl:2;"), "{error}");
    assert_eq!(Regression { params, steps_seen: 0 }.bits(), before, "the weights moved");
}

#[test]
fn a_held_out_row_without_a_finite_loss_stops_the_run_and_is_named() {
    let mut held_out = rows(4);
    held_out[2].y = f32::NAN;
    let error =
        evaluate(&Regression::new(), &mut Loader::in_order(held_out, 2), &Ranks::default(), &Stop::default())
            .unwrap_err()
            .to_string();
    assert!(
        error.starts_with("evaluation: `loss` is NaN; look at these rows (toy.jsonl:3, toy.jsonl:4)"),
        "{error}"
    );
    // A loss that is none of the trouble, and a metric that is.
    let measured = evaluate(
        &Unmeasured(Regression::new()),
        &mut Loader::in_order(rows(4), 2),
        &Ranks::default(),
        &Stop::default(),
    );
    assert!(
        measured
            .unwrap_err()
            .to_string()
            .starts_with("evaluation: `ratio` is NaN; look at these rows (toy.jsonl:1")
    );
}

/// Regression with a metric that divides by nothing.
struct Unmeasured(Regression);

impl Objective for Unmeasured {
    type Batch = Vec<Row>;

    fn weights(&self, batch: &Vec<Row>) -> Weights {
        self.0.weights(batch)
    }

    fn loss<'a>(&'a self, batch: &'a Vec<Row>, totals: &Weights) -> Result<StepLoss<'a>> {
        let step = self.0.loss(batch, totals)?;
        Ok(StepLoss::new(step.loss.clone(), || {
            let (_, mut metrics) = step.read()?;
            metrics.mean("ratio", f64::NAN, 2.0);
            Ok(metrics)
        }))
    }

    fn rows(&self, batch: &Vec<Row>) -> Vec<String> {
        self.0.rows(batch)
    }
}

/// The length of the weight times the row's target: its slope at 0 is not a number.
struct Kinked(Params);

impl Objective for Kinked {
    type Batch = Vec<Row>;

    fn weights(&self, batch: &Vec<Row>) -> Weights {
        Weights::of("rows", batch.len() as f64)
    }

    fn loss<'a>(&'a self, batch: &'a Vec<Row>, _: &Weights) -> Result<StepLoss<'a>> {
        let y = Tensor::new(batch[0].y, &Device::Cpu)?;
        let length = self.0.require("weight")?.leaf()?.broadcast_mul(&y)?.sqr()?.sum_all()?.sqrt()?;
        let loss = (length + self.0.require("bias")?.leaf()?.sum_all()?)?;
        Ok(loss.into())
    }

    fn rows(&self, batch: &Vec<Row>) -> Vec<String> {
        batch.iter().map(|row| format!("toy.jsonl:{}", row.line)).collect()
    }
}

#[test]
fn a_gradient_that_is_not_finite_stops_the_run_and_names_its_rows_and_parameters() {
    let objective = Regression::new();
    let before = objective.bits();
    let config = options(|_| {}).check(1e-3).unwrap();
    let mut updater = config.updater(&objective.params, 5).unwrap();
    let mut window: Vec<Vec<Row>> = rows(3).into_iter().map(|row| vec![row]).collect();
    window[1][0].y = 0.0;
    let error = updater.update(&mut Kinked(objective.params.clone()), &window).unwrap_err().to_string();
    assert!(error.starts_with("step 1: the gradient of `weight` is not finite;"), "{error}");
    assert!(error.contains("rows of the micro-batch: toy.jsonl:2;"), "{error}");
    assert_eq!(objective.bits(), before, "the weights moved");
}

/// A term that reaches the bias but not the weight.
struct Severed(Params);

impl Objective for Severed {
    type Batch = Vec<Row>;

    fn weights(&self, batch: &Vec<Row>) -> Weights {
        Weights::of("rows", batch.len() as f64)
    }

    fn loss<'a>(&'a self, _: &'a Vec<Row>, _: &Weights) -> Result<StepLoss<'a>> {
        let weight = self.0.require("weight")?.tensor().detach().sum_all()?;
        let loss = (self.0.require("bias")?.leaf()?.sum_all()? * weight)?;
        Ok(loss.into())
    }

    fn rows(&self, _: &Vec<Row>) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn a_parameter_that_gets_no_gradient_stops_the_run_at_the_first_backward() {
    let params = Regression::new().params;
    let config = options(|_| {}).check(1e-3).unwrap();
    let mut updater = config.updater(&params, 5).unwrap();
    let error = updater.update(&mut Severed(params.clone()), &[rows(2)]).unwrap_err().to_string();
    assert!(error.contains("no gradient for 1 of 2 trainable parameters: `weight`"), "{error}");
    assert_eq!(updater.step(), 0);
}

#[test]
fn views_and_frozen_parameters_are_not_trained() {
    let mut params = Regression::new().params;
    let frozen = Tensor::zeros(3, candle_core::DType::BF16, &Device::Cpu).unwrap();
    params.insert("frozen", Param::frozen(&frozen)).unwrap();
    let config = options(|_| {}).check(1e-3).unwrap();
    let updater = config.updater(&params, 5).unwrap();
    assert_eq!(updater.params().iter().map(|(name, _)| name).collect::<Vec<_>>(), ["bias", "weight"]);
    assert!(config.updater(&params.view(), 5).is_err());
}

#[test]
fn an_epoch_without_batches_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = message(train_with(dir.path(), &single_rows(), Regression::new(), |b| b.rows.clear()));
    assert!(error.contains("training data is empty"), "{error}");
}

#[test]
fn an_output_directory_that_cannot_be_written_is_an_error_before_training() {
    let error = message(train(Path::new("/proc/align-train"), &single_rows()));
    assert!(error.starts_with("/proc/align-train: cannot write there: "), "{error}");
}
