//! The smallest stage there is: linear regression with two loss terms that are weighed differently.

use std::fs;
use std::path::Path;

use align_kernels::{Param, Params};
use align_train::{
    Batches, Cursor, Error, Evaluate, LogEntry, Metrics, Objective, Outcome, OutputDir, Ranks, Result, Run,
    RunControl, StepLoss, Stop, TrainConfig, TrainOptions, Update, Updater, Weights, evaluate, fit,
};
use candle_core::{Device, Tensor};

/// Features, target, and how many tokens the row counts for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) x: [f32; 2],
    pub(crate) y: f32,
    pub(crate) tokens: f32,
}

pub(crate) fn rows(count: usize) -> Vec<Row> {
    (0..count)
        .map(|i| {
            let x = [(i as f32 * 0.7).sin(), (i as f32 * 1.3).cos()];
            let y = 2.0 * x[0] - x[1] + 0.3 * (i as f32).sin();
            Row { line: i + 1, x, y, tokens: (i % 3 + 1) as f32 }
        })
        .collect()
}

/// Mean over rows of the squared error, plus half the mean over tokens of the error itself.
pub(crate) struct Regression {
    pub(crate) params: Params,
    /// State that moves with training.
    pub(crate) steps_seen: usize,
}

const WIDE: [(&str, &[usize]); 4] = [
    ("model.embed_tokens.weight", &[30, 40]),
    ("model.layers.0.up.weight", &[70, 60]),
    ("model.layers.1.up.weight", &[61, 70]),
    ("model.norm.weight", &[40]),
];

impl Regression {
    pub(crate) fn new() -> Self {
        let weight = Tensor::new(&[[0.1f32, -0.2]], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0.05f32], &Device::Cpu).unwrap();
        let params = Params::tracked([(&"weight".to_owned(), &weight), (&"bias".to_owned(), &bias)]).unwrap();
        Self { params, steps_seen: 0 }
    }

    /// The same with more parameters, large enough to be divided: a function of them is fitted to the rows too.
    pub(crate) fn wide() -> Self {
        let mut all = Self::new();
        for (name, shape) in WIDE {
            let values = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.37).sin() * 0.1);
            let value = Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(shape).unwrap();
            all.params.insert(name, Param::tracked(&value).unwrap()).unwrap();
        }
        all
    }

    /// The sum of all further parameters, each element weighed by its place.
    fn further(&self) -> Result<Option<Tensor>> {
        let mut sum: Option<Tensor> = None;
        for (name, param) in self.params.iter().filter(|(name, _)| name.starts_with("model.")) {
            let count = param.tensor().elem_count();
            let places = Tensor::from_iter((0..count).map(|i| ((i * i) as f32).cos()), &Device::Cpu)?;
            let mut value = (param.leaf()?.flatten_all()? * &places)?.sum_all()?;
            if name.contains("layers.1") {
                // It is used twice.
                value = (value + (param.leaf()?.flatten_all()?.sqr()? * &places)?.sum_all()?)?;
            }
            sum = Some(match sum {
                None => value,
                Some(sum) => (sum * 0.5)?.add(&value)?,
            });
        }
        Ok(sum)
    }

    pub(crate) fn held_out(&self) -> Self {
        Self { params: self.params.view(), steps_seen: 0 }
    }

    pub(crate) fn bits(&self) -> Vec<u32> {
        let values = |param: &Param| param.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        self.params.iter().flat_map(|(_, param)| values(param)).map(f32::to_bits).collect()
    }
}

impl Objective for Regression {
    type Batch = Vec<Row>;

    fn weights(&self, batch: &Vec<Row>) -> Weights {
        Weights::of("rows", batch.len() as f64)
            .with("tokens", batch.iter().map(|row| f64::from(row.tokens)).sum())
    }

    fn loss<'a>(&'a self, batch: &'a Vec<Row>, totals: &Weights) -> Result<StepLoss<'a>> {
        let column = |values: Vec<f32>| Tensor::from_vec(values, (batch.len(), 1), &Device::Cpu);
        let x: Vec<f32> = batch.iter().flat_map(|row| row.x).collect();
        let x = Tensor::from_vec(x, (batch.len(), 2), &Device::Cpu)?;
        let y = column(batch.iter().map(|row| row.y).collect())?;
        let tokens = column(batch.iter().map(|row| row.tokens).collect())?;
        let weight = self.params.require("weight")?.leaf()?;
        let bias = self.params.require("bias")?.leaf()?;
        let mut fitted = x.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        if let Some(further) = self.further()? {
            fitted = (fitted + (x.narrow(1, 0, 1)? * 0.1)?.broadcast_mul(&further)?)?;
        }
        let error = (fitted - y)?;
        let squared = (error.sqr()?.sum_all()? / totals.get("rows"))?;
        let linear = ((&error * tokens)?.sum_all()? * (0.5 / totals.get("tokens")))?;
        let absolute = error.detach().abs()?.flatten_all()?;
        Ok(StepLoss::new((squared + linear)?, move || {
            let mut metrics = Metrics::default();
            let absolute: Vec<f32> = absolute.to_vec1()?;
            metrics.mean("absolute_error", absolute.iter().map(|&e| f64::from(e)).sum(), batch.len() as f64);
            metrics.total("num_tokens", batch.iter().map(|row| f64::from(row.tokens)).sum());
            Ok(metrics)
        }))
    }

    fn rows(&self, batch: &Vec<Row>) -> Vec<String> {
        batch.iter().map(|row| format!("toy.jsonl:{}", row.line)).collect()
    }

    fn after_update(&mut self, update: &Update) -> Result<()> {
        self.steps_seen += 1;
        assert_eq!(self.steps_seen, update.step);
        Ok(())
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        fs::write(dir.join("steps_seen"), self.steps_seen.to_string()).map_err(Error::stage)
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        let text = fs::read_to_string(dir.join("steps_seen")).map_err(Error::stage)?;
        self.steps_seen = text.parse().map_err(Error::stage)?;
        Ok(())
    }
}

/// Rows in an order that is another in every epoch.
pub(crate) struct Loader {
    pub(crate) rows: Vec<Row>,
    pub(crate) batch_size: usize,
    pub(crate) shuffled: bool,
    pub(crate) epoch: usize,
    pub(crate) position: usize,
}

impl Loader {
    pub(crate) fn new(rows: Vec<Row>, batch_size: usize) -> Self {
        Self { rows, batch_size, shuffled: true, epoch: 0, position: 0 }
    }

    pub(crate) fn in_order(rows: Vec<Row>, batch_size: usize) -> Self {
        Self { shuffled: false, ..Self::new(rows, batch_size) }
    }
}

impl Batches for Loader {
    type Batch = Vec<Row>;

    fn next(&mut self) -> Result<Option<Vec<Row>>> {
        let count = self.rows.len();
        if self.position >= count {
            (self.epoch, self.position) = (self.epoch + 1, 0);
            return Ok(None);
        }
        let end = (self.position + self.batch_size).min(count);
        let shift = if self.shuffled { self.epoch * 5 + 3 } else { 0 };
        let batch = (self.position..end).map(|i| self.rows[(i + shift) % count]).collect();
        self.position = end;
        Ok(Some(batch))
    }

    fn batches_per_epoch(&mut self) -> Result<usize> {
        Ok(self.rows.len().div_ceil(self.batch_size))
    }

    fn cursor(&self) -> Cursor {
        serde_json::json!({"epoch": self.epoch, "position": self.position})
    }

    fn seek(&mut self, cursor: &Cursor) -> Result<()> {
        let number = |name: &str| cursor[name].as_u64().map(|n| n as usize).ok_or_else(|| Error::stage(name));
        (self.epoch, self.position) = (number("epoch")?, number("position")?);
        Ok(())
    }
}

/// Evaluation over rows of its own.
pub(crate) struct HeldOut {
    objective: Regression,
    batches: Loader,
    ranks: Ranks,
}

impl HeldOut {
    pub(crate) fn of(objective: &Regression, ranks: Ranks) -> Self {
        let rows = rows(13).into_iter().skip(8).collect();
        Self { objective: objective.held_out(), batches: Loader::in_order(rows, 2), ranks }
    }
}

impl Evaluate for HeldOut {
    fn evaluate(&mut self, _step: usize, stop: &Stop) -> Result<Metrics> {
        evaluate(&self.objective, &mut self.batches, &self.ranks, stop)
    }
}

pub(crate) fn save_model(params: &Params, dir: &Path) -> Result<()> {
    let tensors = params.iter().map(|(name, param)| (name.to_owned(), param.tensor().detach())).collect();
    Ok(candle_core::safetensors::save(&tensors, dir.join("model.safetensors"))?)
}

/// What a run left behind.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) objective: Regression,
    pub(crate) state: align_train::TrainerState,
}

impl Finished {
    /// The log without what a clock measured.
    pub(crate) fn timeless_log(&self) -> Vec<LogEntry> {
        let timed =
            |name: &str| name.ends_with("runtime") || name.ends_with("per_second") || name == "step_time";
        let strip = |entry: &LogEntry| {
            entry.iter().filter(|(name, _)| !timed(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
        };
        self.state.log_history.iter().map(strip).collect()
    }
}

pub(crate) fn options(change: impl FnOnce(&mut TrainOptions)) -> TrainOptions {
    let mut options =
        TrainOptions { learning_rate: Some(0.05), per_device_train_batch_size: 3, ..TrainOptions::default() };
    change(&mut options);
    options
}

/// Trains the toy on 8 rows into `dir`.
pub(crate) fn train(dir: &Path, options: &TrainOptions) -> Result<Finished> {
    train_with(dir, options, Regression::new(), |_| {})
}

pub(crate) fn train_with(
    dir: &Path,
    options: &TrainOptions,
    objective: Regression,
    prepare: impl FnOnce(&mut Loader),
) -> Result<Finished> {
    train_on(&Ranks::default(), dir, options, objective, prepare)
}

/// The same as one of several ranks.
pub(crate) fn train_on(
    ranks: &Ranks,
    dir: &Path,
    options: &TrainOptions,
    mut objective: Regression,
    prepare: impl FnOnce(&mut Loader),
) -> Result<Finished> {
    let config = TrainConfig { ranks: ranks.clone(), ..options.check(1e-3)? };
    let params = objective.params.clone();
    let mut batches = Loader::new(rows(8), config.per_device_train_batch_size);
    prepare(&mut batches);
    let total_steps = config.total_steps(batches.batches_per_epoch()?);
    let mut led = None;
    let resumed = ranks.from_first(|| {
        let output = OutputDir::take(dir, false, &config.resume)?;
        let run = led.insert(Run::open(output, &config, options, |dir: &Path| save_model(&params, dir))?);
        Ok::<_, Error>(run.resumed_from().map(|checkpoint| checkpoint.path().to_owned()))
    })?;
    let mut run = match led {
        Some(run) => run,
        None => Run::follow(dir.to_owned(), resumed.as_deref(), &config, RunControl::default())?,
    };
    let mut updater: Updater = config.updater(&params, total_steps)?;
    let mut held_out = HeldOut::of(&objective, ranks.clone());
    let outcome = fit(&mut objective, Some(&mut held_out), &mut batches, &mut updater, &mut run)?;
    let state = run.state().clone();
    drop(run);
    Ok(Finished { outcome, objective, state })
}
