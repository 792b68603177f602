use clap::Parser;

use super::*;
use crate::{Adam, Curve, Error, LrAdjustment, Momentum, Muon, OptimizerMethod, Result};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    train: TrainOptions,
}

fn options(arguments: &str) -> TrainOptions {
    let arguments = std::iter::once("train").chain(arguments.split_whitespace());
    Program::try_parse_from(arguments).unwrap().train
}

fn check(arguments: &str) -> Result<TrainConfig> {
    options(arguments).check(1e-6)
}

/// The option that is refused, and that the message says what to do.
fn refused(arguments: &str, option: &str, hint: &str) {
    match check(arguments) {
        Err(error @ (Error::Option { option: found, .. } | Error::NoEffect { option: found, .. })) => {
            let is_idle = matches!(error, Error::NoEffect { .. });
            assert_eq!(is_idle, error.to_string().contains("no effect"), "{arguments}: {error}");
            assert_eq!(found, option, "{arguments}: {error}");
            assert!(error.to_string().contains(hint), "{arguments}: {error}");
        }
        other => panic!("{arguments}: {other:?}"),
    }
}

#[test]
fn the_defaults_on_the_command_line_are_those_in_code() {
    assert_eq!(options(""), TrainOptions::default());
    assert_eq!(check("").unwrap().learning_rate, 1e-6);
}

#[test]
fn booleans_are_given_with_or_without_a_value() {
    assert!(options("--eval-on-start").eval_on_start);
    assert!(options("--eval-on-start true").eval_on_start);
    assert!(!options("--eval-on-start=false").eval_on_start);
}

#[test]
fn options_come_back_from_json_and_unknown_ones_are_refused() {
    let options = options("--learning-rate 1e-3 --lr-scheduler-type cosine --report-to none --max-steps 7");
    let json = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<TrainOptions>(&json).unwrap(), options);
    assert!(serde_json::from_str::<TrainOptions>(r#"{"learning_rte": 1}"#).is_err());
}

#[test]
fn nonsense_is_refused() {
    refused("--learning-rate=-1", "learning_rate", "at least 0");
    refused("--max-tokens-per-micro-batch 0", "max_tokens_per_micro_batch", "at least 1");
    refused("--adam-beta1 1", "adam_beta1", "below 1");
    refused("--adam-epsilon 0", "adam_epsilon", "above 0");
    refused("--weight-decay=-0.1", "weight_decay", "at least 0");
    refused("--max-grad-norm=-1", "max_grad_norm", "at least 0");
    refused("--max-steps 0", "max_steps", "at least 1, or -1");
    refused("--num-train-epochs 0", "num_train_epochs", "above 0");
    refused("--per-device-train-batch-size 0", "per_device_train_batch_size", "at least 1");
    refused("--gradient-accumulation-steps 0", "gradient_accumulation_steps", "at least 1");
    refused("--warmup-ratio 1.5", "warmup_ratio", "from 0 to 1");
    refused("--warmup-steps 2.5", "warmup_steps", "whole number");
    refused("--warmup-steps 2 --warmup-ratio 0.1", "warmup_steps", "say it once");
    refused("--report-to none,tensorboard", "report_to", "nothing else");
    refused("--eval-strategy steps --eval-steps 0", "eval_steps", "at least 1");
    refused("--save-total-limit 0", "save_total_limit", "at least 1");
}

#[test]
fn options_without_effect_are_refused() {
    refused("--lr-scheduler-type constant --warmup-steps 10", "warmup_steps", "constant_with_warmup");
    refused("--lr-scheduler-type constant --warmup-ratio 0.1", "warmup_ratio", "constant_with_warmup");
    refused("--lr-scheduler-type constant_with_warmup", "lr_scheduler_type", "give warmup_steps");
    refused("--lr-scheduler-type warmup_stable_decay", "lr_scheduler_type", "needs num_decay_steps");
    refused("--num-decay-steps 10", "num_decay_steps", "remove it");
    refused("--eval-steps 10", "eval_steps", "set eval_strategy to steps");
    refused("--eval-strategy epoch --eval-steps 10", "eval_steps", "set eval_strategy to steps");
    refused("--eval-on-start", "eval_on_start", "set eval_strategy");
    refused("--load-best-model-at-end", "load_best_model_at_end", "set eval_strategy");
    refused("--early-stopping-patience 3", "early_stopping_patience", "set eval_strategy");
    refused("--metric-for-best-model loss", "metric_for_best_model", "remove it");
    refused("--greater-is-better", "greater_is_better", "remove it");
    refused("--early-stopping-threshold 0.1", "early_stopping_threshold", "remove it");
    refused(
        "--eval-strategy steps --load-best-model-at-end --early-stopping-threshold 0.1",
        "early_stopping_threshold",
        "without early_stopping_patience",
    );
    refused(
        "--eval-strategy steps --load-best-model-at-end --save-strategy no",
        "load_best_model_at_end",
        "set save_strategy",
    );
    refused("--save-strategy no --save-steps 10", "save_steps", "set save_strategy to steps");
    refused("--save-strategy no --save-total-limit 2", "save_total_limit", "set save_strategy");
}

#[test]
fn the_best_model_is_chosen_by_loss_unless_a_metric_is_named() {
    let selection = |extra: &str| {
        check(&format!("--eval-strategy steps --load-best-model-at-end {extra}")).unwrap().selection.unwrap()
    };
    let loss = selection("");
    assert_eq!((loss.metric.as_str(), loss.greater_is_better), ("loss", false));
    let accuracy = selection("--metric-for-best-model eval_rewards/accuracies");
    assert_eq!((accuracy.metric.as_str(), accuracy.greater_is_better), ("rewards/accuracies", true));
    assert!(!selection("--metric-for-best-model kl --greater-is-better=false").greater_is_better);
}

#[test]
fn epochs_become_steps_as_in_transformers() {
    let steps = |arguments: &str, batches| check(arguments).unwrap().total_steps(batches);
    assert_eq!(steps("--num-train-epochs 1 --gradient-accumulation-steps 4", 10), 3);
    assert_eq!(steps("--num-train-epochs 1.5 --gradient-accumulation-steps 4", 10), 5);
    assert_eq!(steps("--num-train-epochs 0.01", 10), 1);
    assert_eq!(steps("--max-steps 7", 10), 7);
}

#[test]
fn a_warmup_ratio_is_rounded_up() {
    let warmup = |arguments: &str| check(arguments).unwrap().schedule(25).unwrap().warmup_steps;
    assert_eq!(warmup("--warmup-ratio 0.1"), 3);
    assert_eq!(warmup("--warmup-steps 0.1"), 3);
    assert_eq!(warmup("--warmup-steps 5"), 5);
    assert_eq!(warmup(""), 0);
}

#[test]
fn a_decay_that_does_not_fit_is_refused() {
    let config =
        check("--lr-scheduler-type warmup_stable_decay --num-decay-steps 8 --warmup-steps 3").unwrap();
    assert!(config.schedule(11).is_ok());
    assert!(config.schedule(10).unwrap_err().to_string().contains("does not fit"));
}

#[test]
fn every_optimizer_takes_its_own_arguments_and_no_others() {
    let method = |arguments: &str| check(arguments).unwrap().optimizer.method;
    let momentum = Momentum { momentum: 0.9, dampening: 0.0, nesterov: true };
    assert_eq!(method("--optim sgd --optim-args momentum=0.9,nesterov=True"), OptimizerMethod::Sgd(momentum));
    let muon = Muon { ns_steps: 6, adjust_lr: LrAdjustment::Original, ..Muon::default() };
    let given = "--optim muon --optim-args ns_steps=6,adjust_lr_fn=original --adam-beta2 0.95";
    let adam = Adam { beta2: 0.95, ..Adam::default() };
    assert_eq!(method(given), OptimizerMethod::Muon(muon, adam));
    assert_eq!(method("--optim adamw_torch_fused"), OptimizerMethod::AdamW(Adam::default()));
    assert_eq!(method("--optim adamw_bnb_8bit"), OptimizerMethod::AdamW8bit(Adam::default()));
    assert_eq!(method("--optim lion_32bit"), OptimizerMethod::Lion { beta1: 0.9, beta2: 0.999 });
    refused("--optim-args momentum=0.9", "optim_args", "optim adamw_torch takes no arguments");
    refused("--optim adafactor --optim-args beta1=0.9", "optim_args", "takes no arguments");
    refused("--optim sgd --optim-args ns_steps=5", "optim_args", "takes momentum, dampening, nesterov");
    refused("--optim sgd --optim-args nesterov=true", "optim_args", "without momentum");
    refused("--optim sgd --optim-args dampening=0.1", "optim_args", "without momentum");
    refused(
        "--optim sgd --optim-args momentum=0.9,dampening=0.1,nesterov=true",
        "optim_args",
        "no dampening",
    );
    refused("--optim sgd --optim-args momentum=2", "optim_args", "from 0 to 1");
    refused("--optim sgd --optim-args momentum", "optim_args", "key=value");
    refused("--optim muon --optim-args ns_steps=100", "optim_args", "from 1 to 99");
    refused("--optim muon --optim-args adjust_lr_fn=moonshot", "optim_args", "match_rms_adamw");
}

#[test]
fn every_schedule_takes_its_own_arguments_and_no_others() {
    refused("--lr-scheduler-kwargs num_cycles=2", "lr_scheduler_kwargs", "linear takes no arguments");
    let cosine = "--lr-scheduler-type cosine --lr-scheduler-kwargs";
    refused(&format!("{cosine} min_lr=0"), "lr_scheduler_kwargs", "cosine takes num_cycles");
    refused(&format!("{cosine} num_cycles=-1"), "lr_scheduler_kwargs", "from 0 to");
    refused(&format!("{cosine} {{"), "lr_scheduler_kwargs", "JSON object");
    let floor = "--lr-scheduler-type cosine_with_min_lr";
    refused(floor, "lr_scheduler_type", "needs min_lr or min_lr_rate");
    let twice = format!("{floor} --lr-scheduler-kwargs min_lr=1e-9,min_lr_rate=0.1");
    refused(&twice, "lr_scheduler_kwargs", "say it once");
    let decay = "--lr-scheduler-type warmup_stable_decay";
    let twice = format!("{decay} --num-decay-steps 3 --lr-scheduler-kwargs num_decay_steps=3");
    refused(&twice, "num_decay_steps", "say it once");
    let plateau = "--lr-scheduler-type reduce_lr_on_plateau";
    refused(plateau, "lr_scheduler_type", "needs evaluation");
    let warm = format!("{plateau} --eval-strategy steps --warmup-steps 3");
    refused(&warm, "warmup_steps", "reduce_lr_on_plateau, which has no warmup");
    let metric = format!("{plateau} --eval-strategy steps --metric-for-best-model eval_rewards/accuracies");
    let Curve::Plateau(it) = check(&metric).unwrap().curve else { panic!("expected a plateau") };
    assert_eq!((it.metric.as_str(), it.greater_is_better), ("rewards/accuracies", true));
}

#[test]
fn a_learning_rate_that_a_schedule_falls_to_lies_below_the_peak() {
    for arguments in [
        "--lr-scheduler-type polynomial --lr-scheduler-kwargs lr_end=1e-6",
        "--lr-scheduler-type cosine_with_min_lr --lr-scheduler-kwargs min_lr=0.1",
    ] {
        let error = check(arguments).unwrap().schedule(10).unwrap_err().to_string();
        assert!(error.contains("must be below learning_rate, 0.000001"), "{error}");
    }
}
