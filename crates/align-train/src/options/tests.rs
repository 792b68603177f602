use clap::Parser;

use super::*;
use crate::{Error, Result};

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
