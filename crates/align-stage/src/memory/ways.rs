//! The ways to make a run fit that does not: each with what it would take, the cheapest first.

use std::borrow::Cow;

use align_kernels::FourBitKind;
use align_models::{ModelDir, Quantisation};
use align_train::{Adam, OptimizerMethod, TrainConfig};

use super::predict::predict;
use super::{MemoryNeeds, MemoryPlan, Shown};
use crate::{Error, Frozen, LoraOptions, Opening};

/// Ways that are told.
const TOLD: usize = 3;

/// The error of a run that the machine has no memory for.
pub(super) fn shortage(
    opening: &Opening<'_>,
    needs: &MemoryNeeds,
    plan: &MemoryPlan,
    available: u64,
    are: &str,
) -> Error {
    let peak = plan.peak().map_or("", |moment| moment.name);
    let problem = format!(
        "memory: the run takes {} at its peak (`{peak}`), {} {are}",
        Shown(plan.bytes()),
        Shown(available)
    );
    Error::Inputs(with(opening, needs, &opening.config, available, problem))
}

/// The problem, and the ways to make it fit into so many bytes.
pub(super) fn with(
    opening: &Opening<'_>,
    needs: &MemoryNeeds,
    config: &TrainConfig,
    most: u64,
    problem: String,
) -> String {
    let ways = all(opening, needs, config);
    let mut fitting: Vec<String> = Vec::new();
    let mut least: Option<(u64, String)> = None;
    for Way { options, model, config, needs } in &ways {
        let Ok(plan) = predict(opening, model, config, needs) else { continue };
        let bytes = plan.bytes();
        let told = format!("`{options}` ({})", Shown(bytes));
        if least.as_ref().is_none_or(|(least, _)| bytes < *least) {
            least = Some((bytes, told.clone()));
        }
        if bytes <= most && fitting.len() < TOLD {
            fitting.push(told);
        }
    }
    match (fitting.as_slice(), least) {
        ([], None) => problem,
        ([], Some((_, least))) => format!("{problem}; the least would be {least}"),
        (ways, _) => format!("{problem}; it fits with {}", ways.join(", or ")),
    }
}

/// A change of the run's options.
struct Way<'a> {
    options: String,
    model: Cow<'a, ModelDir>,
    config: TrainConfig,
    needs: MemoryNeeds,
}

/// The changes, in the order of what they cost: those that leave every update as it is, then those that change what an update is,
/// then those that change what is trained.
fn all<'a>(opening: &'a Opening<'_>, needs: &MemoryNeeds, config: &TrainConfig) -> Vec<Way<'a>> {
    let model = &opening.model;
    let of = |model: Cow<'a, ModelDir>, options: &[String], config: TrainConfig, needs: &MemoryNeeds| Way {
        options: options.join(" "),
        model,
        config,
        needs: needs.clone(),
    };
    let way = |options: &[String], config, needs: &_| of(Cow::Borrowed(model), options, config, needs);
    let mut ways = Vec::new();
    // The least costly state of what leaves updates as they are, which the ways below begin with.
    let (mut said, mut so_far, mut held) = (Vec::new(), config.clone(), needs.clone());
    if let Some(frozen @ Frozen { in_advance: false, may_be_in_advance: true, .. }) = needs.reference {
        held.reference = Some(Frozen { in_advance: true, ..frozen });
        said.push("--precompute-ref-log-probs".to_owned());
        ways.push(way(&said, so_far.clone(), &held));
    }
    if needs.of_micro_batch.is_none() && config.max_tokens_per_micro_batch.is_none() {
        let rows = config.per_device_train_batch_size * config.gradient_accumulation_steps;
        for size in (1..config.per_device_train_batch_size).rev().filter(|size| rows.is_multiple_of(*size)) {
            so_far.per_device_train_batch_size = size;
            so_far.gradient_accumulation_steps = rows / size;
            let cut =
                format!("--per-device-train-batch-size {size} --gradient-accumulation-steps {}", rows / size);
            ways.push(way(std::slice::from_ref(&cut), so_far.clone(), needs));
            if !said.is_empty() {
                ways.push(way(&[said.clone(), vec![cut.clone()]].concat(), so_far.clone(), &held));
            }
            if size == 1 {
                said.push(cut);
            }
        }
    }
    if !config.gradient_checkpointing && !needs.frozen_backbone {
        let again = "--gradient-checkpointing".to_owned();
        let alone = TrainConfig { gradient_checkpointing: true, ..config.clone() };
        ways.push(way(std::slice::from_ref(&again), alone, needs));
        so_far.gradient_checkpointing = true;
        said.push(again);
        ways.push(way(&said, so_far.clone(), &held));
    }
    if matches!(config.optimizer.method, OptimizerMethod::AdamW(_)) && !model.is_adapter() {
        let few = |config: &TrainConfig| {
            let mut config = config.clone();
            config.optimizer.method = OptimizerMethod::AdamW8bit(Adam::default());
            config
        };
        let optim = "--optim adamw_8bit".to_owned();
        ways.push(way(std::slice::from_ref(&optim), few(config), needs));
        ways.push(way(&[said.clone(), vec![optim]].concat(), few(&so_far), &held));
    }
    if model.is_adapter() || needs.frozen_backbone || needs.from_scratch {
        return ways;
    }
    let Ok(lora) = LoraOptions::default().config() else { return ways };
    let quantised = model.clone().quantised(Quantisation::FourBit { kind: FourBitKind::Nf4, double: false });
    for (base, options) in [(model, "--use-peft"), (&quantised, "--use-peft --load-in-4bit")] {
        let Ok(adapter) = base.clone().with_new_adapter(&lora, "", None) else { continue };
        let options = vec![options.to_owned()];
        ways.push(of(Cow::Owned(adapter.clone()), &options, config.clone(), needs));
        ways.push(of(Cow::Owned(adapter), &[options, said.clone()].concat(), so_far.clone(), &held));
    }
    ways
}
