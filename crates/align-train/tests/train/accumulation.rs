//! Gradient accumulation is exact: how a window is cut into micro-batches changes nothing but rounding.

use align_train::{
    Adam, Curve, OptimizerConfig, OptimizerMethod, Ranks, Schedule, Stop, Update, Updater, evaluate,
};
use candle_core::{DType, Device, Tensor};

use crate::toy::{self, Loader, Regression, Row, rows};

fn constant(learning_rate: f64) -> Schedule {
    Schedule { curve: Curve::Constant, learning_rate, warmup_steps: 0, total_steps: 10 }
}

/// Two updates over the rows, cut into micro-batches of `size`; the last may be smaller.
fn two_updates(rows: &[Row], size: usize) -> (Vec<Update>, Vec<f32>) {
    let mut objective = Regression::new();
    let mut updater =
        Updater::new(&objective.params, OptimizerConfig::default(), constant(0.05), Some(1.0)).unwrap();
    let window: Vec<Vec<Row>> = rows.chunks(size).map(<[Row]>::to_vec).collect();
    let updates = (0..2).map(|_| updater.update(&mut objective, &window).unwrap()).collect();
    (updates, objective.bits().into_iter().map(f32::from_bits).collect())
}

#[test]
fn micro_batches_of_any_size_make_the_same_update() {
    let rows = rows(8);
    let (whole, whole_weights) = two_updates(&rows, 8);
    for size in [1, 2, 3, 5] {
        let (parts, weights) = two_updates(&rows, size);
        for (part, whole) in parts.iter().zip(&whole) {
            assert!((part.loss - whole.loss).abs() < 1e-6, "loss, size {size}: {} {}", part.loss, whole.loss);
            assert!((part.grad_norm - whole.grad_norm).abs() < 1e-5, "norm, size {size}");
            let error = |update: &Update| update.metrics.get("absolute_error").unwrap();
            assert!((error(part) - error(whole)).abs() < 1e-6, "metrics, size {size}");
            assert_eq!(part.samples, 8);
        }
        for (part, whole) in weights.iter().zip(&whole_weights) {
            assert!((part - whole).abs() < 1e-6, "weights, size {size}: {part} {whole}");
        }
    }
}

#[test]
fn the_last_window_of_an_epoch_is_weighed_by_what_it_holds() {
    // 8 rows, batch size 1, accumulation 3: windows of 3, 3 and 2. The same windows as whole batches.
    let train = |batch, accumulation| {
        let dir = tempfile::tempdir().unwrap();
        let options = toy::options(|options| {
            options.per_device_train_batch_size = batch;
            options.gradient_accumulation_steps = accumulation;
            options.num_train_epochs = 2.0;
            options.logging_steps = 1;
        });
        toy::train(dir.path(), &options).unwrap()
    };
    let (whole, parts) = (train(3, 1), train(1, 3));
    assert_eq!(whole.state.global_step, 6);
    for (whole, part) in whole.timeless_log().iter().zip(parts.timeless_log()) {
        for name in ["loss", "grad_norm", "absolute_error", "num_tokens"] {
            let value = |entry: &align_train::LogEntry| entry.get(name).and_then(serde_json::Value::as_f64);
            let difference = value(whole).unwrap_or_default() - value(&part).unwrap_or_default();
            assert!(difference.abs() < 1e-5, "{name}: {whole:?} {part:?}");
        }
    }
}

#[test]
fn gradients_are_clipped_to_the_norm_that_is_reported() {
    // With an ε far above the gradient, AdamW's step is proportional to the clipped gradient.
    let step = |max_grad_norm| {
        let mut objective = Regression::new();
        let zero = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        objective.params.require("bias").unwrap().set(&zero).unwrap();
        let method = OptimizerMethod::AdamW(Adam { epsilon: 1e6, ..Adam::default() });
        let adamw = OptimizerConfig { method, ..OptimizerConfig::default() };
        let mut updater = Updater::new(&objective.params, adamw, constant(1.0), max_grad_norm).unwrap();
        let update = updater.update(&mut objective, &[rows(8)]).unwrap();
        let bias = objective.params.require("bias").unwrap().tensor().to_vec1::<f32>().unwrap()[0];
        (update.grad_norm, f64::from(bias))
    };
    let (norm, free) = step(None);
    let (clipped_norm, clipped) = step(Some(norm / 4.0));
    assert_eq!(norm, clipped_norm);
    assert!((clipped / free - 0.25).abs() < 1e-4, "{clipped} {free}");
}

#[test]
fn evaluation_does_not_depend_on_the_batch_size() {
    let objective = Regression::new().held_out();
    let measure = |size| {
        evaluate(&objective, &mut Loader::in_order(rows(7), size), &Ranks::default(), &Stop::default())
            .unwrap()
    };
    let whole = measure(7);
    for size in [1, 2, 4] {
        let parts = measure(size);
        for name in ["loss", "absolute_error", "num_tokens"] {
            let difference = parts.get(name).unwrap() - whole.get(name).unwrap();
            assert!(difference.abs() < 1e-6, "{name}, size {size}");
        }
    }
}
