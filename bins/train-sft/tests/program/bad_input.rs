//! Bad input: exit code 2, one line that says where, and nothing left behind. Here the options and what is on
//! disk already; data and models are beside.
//!
//! A wrong command must not cost its user an hour of training, nor the run that is in the directory already.

use crate::support::{Place, check, training};

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("--lerning-rate 1e-4", &["unknown option `--lerning-rate`; did you mean `--learning-rate`?"]);
    refused("stray", &["unexpected argument `stray`"]);
    refused("--seed 1 --seed 2", &["`--seed` is given twice"]);
    refused("--learning-rate -1", &["`learning_rate` = -1"]);
    refused("--learning-rate nan", &["`--learning-rate` cannot be `nan`"]);
    refused("--gradient-accumulation-steps 9223372036854775808", &["from 0 to 65536"]);
    refused("--learning-rate much", &["`--learning-rate`", "`much`"]);
    refused("--max-steps", &["`--max-steps` expects a value"]);
    refused("--max-steps 0", &["`max_steps` = 0"]);
    refused("--max-steps 99999999999999999999", &["`--max-steps`", "from -1 to 1000000000"]);
    refused("--num-train-epochs 0", &["`num_train_epochs` = 0"]);
    refused("--per-device-train-batch-size 0", &["`per_device_train_batch_size` = 0"]);
    refused("--gradient-accumulation-steps -3", &["`--gradient-accumulation-steps`", "`-3`"]);
    refused("--warmup-ratio 1.5", &["`warmup_ratio` = 1.5"]);
    refused("--warmup-ratio 0.1 --warmup-steps 3", &["`warmup_steps` = 3", "say it once"]);
    refused("--max-steps 5 --num-train-epochs 2", &["`num_train_epochs`: has no effect", "`max_steps`"]);
    refused("--model-revision v2", &["`model_revision`: has no effect", "on disk"]);
    refused("--dataset-train-split first", &["dataset_train_split: has no effect on data.jsonl, a file"]);
    refused("--dataset-test-split second", &["dataset_test_split: has no effect on data.jsonl, a file"]);
    refused("--lr-scheduler-type cosin", &["did you mean `cosine`?"]);
    refused("--lr-scheduler-type warmup_stable_decay", &["needs num_decay_steps"]);
    refused("--lr-scheduler-type cosine_with_min_lr", &["needs min_lr or min_lr_rate"]);
    refused("--lr-scheduler-type reduce_lr_on_plateau", &["reduce_lr_on_plateau: needs evaluation"]);
    refused("--lr-scheduler-kwargs {", &["`lr_scheduler_kwargs`", "JSON object"]);
    let polynomial = "--lr-scheduler-type polynomial --lr-scheduler-kwargs lr_end=1";
    refused(polynomial, &["`lr_scheduler_kwargs` = lr_end=1: must be below learning_rate"]);
    refused("--optim adam", &["--optim: `adam` is not supported; the nearest is `adamw_torch`"]);
    refused(r#"--optim sgd --optim-args {"momentum":0.1,"momentum":0.9}"#, &["`momentum` is given twice"]);
    refused(
        "--optim paged_adamw_8bit",
        &["`paged_adamw_8bit` is not supported; the nearest is `adamw_8bit`"],
    );
    refused(
        "--optim sgd --optim-args momentum=2",
        &["`optim_args`", "`momentum` must be a number from 0 to 1"],
    );
    refused("--adam-beta1 1", &["`adam_beta1` = 1"]);
    refused("--adam-epsilon 0", &["`adam_epsilon` = 0"]);
    refused("--weight-decay -0.1", &["`weight_decay` = -0.1"]);
    refused("--max-grad-norm -1", &["`max_grad_norm` = -1"]);
    refused("--logging-steps 0", &["`logging_steps` = 0"]);
    refused("--save-total-limit 0", &["`save_total_limit` = 0"]);
    refused("--max-length 1", &["max_length: must be at least 2"]);
    refused("--max-length 8 --max-prompt-length 8", &["max_prompt_length: must be less than max_length"]);
    refused("--seed -1", &["`--seed`", "`-1`"]);
    refused("--dry-run=perhaps", &["`--dry-run`", "`perhaps`"]);
    refused("--device tpu", &["`--device`", "`tpu`"]);
    refused("--dtype float16", &["`--dtype`", "expected float32 or bfloat16"]);
    refused("--report-to wandb", &["`wandb` needs a service"]);
    #[cfg(not(feature = "cuda"))]
    refused("--device cuda", &["--device cuda: this binary was built without it", "--features cuda"]);
}

#[test]
fn options_without_effect_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("--fp16", &["`--fp16` has no effect here"]);
    refused(
        "--per-device-eval-batch-size 3",
        &["`per_device_eval_batch_size`: has no effect", "no held-out rows"],
    );
    refused("--optim-args momentum=0.9", &["`optim_args`", "optim adamw_torch takes no arguments"]);
    refused("--optim adafactor --adam-beta1 0.8", &["`adam_beta1`: has no effect, with `optim` adafactor"]);
    refused("--optim lion --adam-epsilon 1e-6", &["`adam_epsilon`: has no effect, with `optim` lion"]);
    refused("--optim sgd --adam-beta2 0.9", &["`adam_beta2`: has no effect, with `optim` sgd"]);
    refused(
        "--lr-scheduler-kwargs num_cycles=2",
        &["`num_cycles` has no effect", "linear takes no arguments"],
    );
    refused("--early-stopping-patience 2", &["`early_stopping_patience` = 2", "eval_strategy"]);
    refused("--early-stopping-threshold 0.1", &["`early_stopping_threshold` = 0.1", "no effect"]);
    refused("--load-best-model-at-end", &["`load_best_model_at_end`", "eval_strategy"]);
    refused("--metric-for-best-model loss", &["`metric_for_best_model` = loss", "no effect"]);
    refused("--greater-is-better", &["`greater_is_better`", "no effect"]);
    refused("--eval-on-start", &["`eval_on_start`", "eval_strategy"]);
    refused("--eval-steps 4", &["`eval_steps` = 4", "no effect with eval_strategy no"]);
    refused("--eval-strategy steps", &["`eval_strategy`", "eval_dataset"]);
    refused("--save-strategy no --save-steps 3", &["`save_steps` = 3", "no effect"]);
    refused("--save-strategy no --save-total-limit 3", &["`save_total_limit` = 3", "no effect"]);
    refused("--warmup-steps 3 --lr-scheduler-type constant", &["`warmup_steps` = 3", "no effect"]);
    refused("--num-decay-steps 3", &["`num_decay_steps` = 3", "warmup_stable_decay"]);
    refused("--max-length 0 --truncation-mode keep_end", &["truncation_mode: has no effect"]);
}

#[test]
fn a_config_file_is_checked_line_by_line() {
    let place = Place::new();
    let refused = |config: &str, fragments: &[&str]| {
        place.write("run.toml", config);
        check(&place, &training("out", "--config run.toml"), fragments);
    };
    refused("seed = 1\nlerning_rate = 1\n", &["run.toml:2: unknown key `lerning_rate`", "`learning_rate`?"]);
    refused("\n\nlearning_rate = \"fast\"\n", &["run.toml:3: `learning_rate` expects a number"]);
    refused("seed = true\n", &["run.toml:1: `seed` expects a whole number, found true"]);
    refused("seed =\n", &["run.toml:1: not TOML"]);
    refused("seed = 1\nseed = 2\n", &["run.toml:2"]);
    refused("[training]\nseed = 1\n", &["run.toml:1: `training` is a table"]);
    check(&place, "--config nothing.toml", &["--config nothing.toml"]);
    check(&place, "--model model", &["`--dataset-name` is required"]);
    check(&place, "--dataset data.jsonl", &["`--model-name-or-path` is required"]);
}

#[test]
fn a_config_file_may_not_contradict_itself_whatever_flags_stand_beside_it() {
    let place = Place::new();
    place.write("run.yaml", "lora_r: 4\nsave_strategy: steps\nsave_steps: 3\n");
    let beside = |flags: &str| training("out", &format!("--config run.yaml {flags}"));
    check(&place, &beside(""), &["`lora_r`: has no effect, without `--use-peft`"]);
    check(&place, &beside("--learning-rate 1e-3"), &["`lora_r`: has no effect, without `--use-peft`"]);
    // What a flag makes moot is left out.
    let said = place.succeeds(&beside("--use-peft false --save-strategy no --dry-run")).stderr;
    for option in ["lora_r", "save_steps"] {
        assert!(said.contains(&format!("`{option}` of the config file has no effect beside")), "{said}");
    }
}

#[test]
fn a_metric_that_no_evaluation_measures_is_refused_before_training() {
    let place = Place::new();
    let best = "--eval-dataset data.jsonl --eval-strategy steps --save-steps 1 --eval-steps 1 --load-best-model-at-end \
                --metric-for-best-model";
    let unknown =
        &["`metric_for_best_model` = nonsense: evaluation measures no such metric; it measures", "loss"];
    check(&place, &training("out", &format!("{best} nonsense")), unknown);
    check(&place, &training("out", &format!("{best} eval_nonsense --dry-run")), unknown);
    place.succeeds(&training("out", &format!("{best} eval_loss --dry-run")));
}

#[test]
fn an_output_that_cannot_be_is_refused() {
    let place = Place::new();
    check(&place, &training("data.jsonl", ""), &["output_dir data.jsonl: cannot write there"]);
    check(&place, &training("data.jsonl/out", ""), &["output_dir data.jsonl/out: cannot write there"]);
    let short = "--max-steps 1 --report-to none";
    place.train("first", short);
    check(&place, &training("first", short), &["output_dir first: not empty", "--overwrite-output-dir"]);
    let inside = "--model first --dataset data.jsonl --output-dir first --overwrite-output-dir";
    check(&place, inside, &["output_dir first: holds the model first"]);
}

#[test]
fn a_resume_that_cannot_be_is_refused() {
    let place = Place::new();
    let short = "--max-steps 2 --save-steps 1 --report-to none";
    place.train("first", short);
    let refused = |out: &str, options: &str, fragments: &[&str]| {
        check(&place, &training(out, &format!("{short} {options}")), fragments);
    };
    refused("a/b/out", "--resume-from-checkpoint last", &["a/b/out: has no complete checkpoint"]);
    refused("out", "--resume-from-checkpoint first/checkpoint-9", &["first/checkpoint-9 is not a directory"]);
    refused("out", "--resume-from-checkpoint model", &["model: is not a complete checkpoint"]);
    refused("first", "--resume-from-checkpoint first/checkpoint-1", &["first/checkpoint-2: is later than"]);
    refused(
        "first",
        "--resume-from-checkpoint last --learning-rate 0.5 --max-length 70",
        &[
            "checkpoint-2 was made with other options",
            "learning_rate was ",
            ", is 0.5",
            "max_length was 1024, is 70",
        ],
    );
    let nowhere = format!("--model model --dataset data.jsonl {short} --resume-from-checkpoint nowhere");
    check(&place, &nowhere, &["resume_from_checkpoint: nowhere is not a directory"]);
}
