//! Bad input of every kind: exit code 2, one line that says where, and nothing left behind.
//!
//! A wrong command must not cost its user an hour of training, nor the run that is in the directory already.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::stage;
use crate::support::{Ended, Place, training};

/// Runs the program and expects it to refuse, with all of `fragments` in its one line.
fn check(place: &Place, words: &str, fragments: &[&str]) {
    let before = place.tree();
    let Ended { code, stderr, .. } = place.ended(words);
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!((code, errors.len()), (Some(2), 1), "{words}\n{stderr}");
    assert_eq!(stderr.lines().last(), Some(errors[0]), "{words}: something follows the error");
    for fragment in fragments {
        assert!(errors[0].contains(fragment), "{words}\n{}\ndoes not say `{fragment}`", errors[0]);
    }
    assert_eq!(place.tree(), before, "{words}: something changed on disk");
}

/// A good row, with one column set to something else.
fn row_with(column: &str, value: &Value) -> String {
    let mut row = json!({ "prompt": "Question: why?\nAnswer:" });
    for completion in stage::COMPLETIONS {
        row[completion] = format!(" the {completion} answer").into();
    }
    row[column] = value.clone();
    row.to_string()
}

fn good_row() -> String {
    row_with("prompt", &"Question: who?\nAnswer:".into())
}

/// A data file of these bytes is refused.
fn check_data(content: impl AsRef<[u8]>, fragments: &[&str]) {
    let place = Place::new();
    place.write("bad.jsonl", content);
    check(&place, "--model model --dataset bad.jsonl --output-dir out", fragments);
}

/// A data file whose second line is this is refused, by that line.
fn check_row(row: &str, fragments: &[&str]) {
    let fragments = [&["bad.jsonl:2: "], fragments].concat();
    check_data(format!("{}\n{row}\n{}\n", good_row(), good_row()), &fragments);
}

#[test]
fn a_bad_row_is_named_by_file_and_line() {
    let answer = stage::COMPLETIONS[0];
    let column = format!("`{answer}`");
    check_row("{\"prompt\": ", &["malformed JSON", "EOF"]);
    check_row("[1, 2]", &["a row is a list of 2"]);
    check_row("\"text\"", &["a row is the string `text`"]);
    check_row("null", &["a row is null"]);
    check_row("{\"n\": NaN}", &["malformed JSON"]);
    check_row("{\"n\": 1e999}", &["malformed JSON", "out of range"]);
    check_row("{\"prompt\": \"\\ud800\"}", &["malformed JSON"]);
    check_row(&format!("{{\"a\":{}", "[".repeat(100_000)), &["malformed JSON", "recursion limit"]);
    check_row(
        &good_row().replace(&format!("\"{answer}\""), "\"answer\""),
        &[&column, "expected a column", "`answer`"],
    );
    check_row(&row_with(answer, &json!("")), &[&column, "it is empty"]);
    check_row(&row_with(answer, &json!(true)), &[&column, "the boolean `true`"]);
    check_row(&row_with(answer, &json!(5)), &[&column, "the number `5`"]);
    check_row(&row_with(answer, &json!({ "text": "x" })), &[&column, "an object"]);
    check_row(&row_with(answer, &json!([])), &[&column, "an empty list"]);
    check_row(&row_with(answer, &json!([[[null]]])), &[&format!("`{answer}[0]`"), "a list of 1"]);
    check_row(
        &row_with(answer, &json!([{ "role": 3 }])),
        &[&format!("`{answer}[0].role`"), "the number `3`"],
    );
    check_row(&row_with("prompt", &json!(false)), &["`prompt`", "the boolean `false`"]);
    check_row(&row_with("prompt", &json!([null])), &["`prompt[0]`", "null"]);
}

#[test]
fn a_file_that_is_no_data_is_refused() {
    check_data("", &["bad.jsonl holds no rows"]);
    check_data("\n \n", &["bad.jsonl holds no rows"]);
    check_data("[]", &["bad.jsonl holds no rows"]);
    check_data(format!("[{}", good_row()), &["bad.jsonl:1", "the end of the file"]);
    check_data(format!("[{}] x", good_row()), &["bad.jsonl:1", "`x`"]);
    check_data(format!("{}\0", good_row()), &["bad.jsonl:1", "malformed JSON"]);
    check_data(b"{}\n\xff\xfe{}", &["bad.jsonl", "line 2 is not UTF-8"]);
    check_data(b"\x1f\x8b\x08nothing", &["bad.jsonl", "gzip"]);
    check_data(b"\x28\xb5\x2f\xfdnothing", &["cannot read bad.jsonl"]);

    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let words = |dataset: &str| format!("--model model --dataset {dataset} --output-dir out");
    check(&place, &words("empty"), &["empty has no data file for the split `train`", "nothing"]);
    check(&place, &words("nothing.jsonl"), &["dataset `nothing.jsonl`", "no such file"]);
    check(&place, &words("org/nothing"), &["dataset `org/nothing`", "HF_HUB_OFFLINE"]);
    check(&place, &training("out", "--eval-dataset nothing.jsonl"), &["dataset `nothing.jsonl`"]);
    check(&place, &training("out", "--max-length 4"), &["none of the 24 rows is usable"]);
}

#[test]
fn what_only_looks_strange_is_accepted() {
    let accept = |content: String| {
        let place = Place::new();
        place.write("odd.jsonl", content);
        place.succeeds("--model model --dataset odd.jsonl --output-dir out --dry-run");
    };
    accept(format!("\u{feff}{}\r\n\r\n{}\r\n", good_row(), good_row()));
    accept(format!("[\n{},\n{}]", good_row(), good_row()));
    accept(row_with("id", &json!(u64::MAX)));
    accept(row_with("meta", &json!({ "a": [null, { "b": [null] }] })));
    accept(format!("{}\n{}", row_with("prompt", &json!("")), good_row()));
    accept(row_with("prompt", &json!("\u{0}\u{200b}\u{1f600} \u{202e}")));
}

/// A change to the model's directory makes the program refuse it.
fn check_model(change: impl Fn(&Place), fragments: &[&str]) {
    let place = Place::new();
    change(&place);
    check(&place, &training("out", ""), fragments);
}

/// Rewrites the weights: names to dtype, shape and bytes.
fn with_tensors(
    change: impl Fn(&mut BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>),
) -> impl Fn(&Place) {
    move |place| {
        let path = place.path("model/model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        let mut tensors: BTreeMap<_, _> = file.tensors().into_iter().map(tensor).collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

/// Sets a key of `config.json`.
fn with_config(key: &str, value: Value) -> impl Fn(&Place) {
    move |place| {
        let path = place.path("model/config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[key] = value.clone();
        fs::write(path, config.to_string()).unwrap();
    }
}

const NORM: &str = "model.norm.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

#[test]
fn weights_that_do_not_fit_are_named() {
    check_model(with_tensors(|tensors| drop(tensors.remove(NORM))), &["model: ", NORM, "missing"]);
    check_model(
        with_tensors(|tensors| tensors.get_mut(EMBEDDING).unwrap().1 = vec![512, 64]),
        &[EMBEDDING, "expected shape [1024, 32] by config.json, found [512, 64]"],
    );
    check_model(
        with_tensors(|tensors| tensors.get_mut(NORM).unwrap().0 = safetensors::Dtype::I32),
        &[NORM, "expected floating-point weights, found I32"],
    );
    let rename = |tensors: &mut BTreeMap<_, _>| {
        let norm = tensors.remove(NORM).unwrap();
        tensors.insert("model.extra.weight".to_owned(), norm);
    };
    check_model(with_tensors(rename), &["does not account for", "model.extra.weight"]);
    let whole = fs::read(Place::new().path("model/model.safetensors")).unwrap();
    for length in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        let cut = |place: &Place| place.write("model/model.safetensors", &whole[..length]);
        check_model(cut, &["model/model.safetensors: is not a readable safetensors file"]);
    }
    check_model(
        |place| fs::remove_file(place.path("model/model.safetensors")).unwrap(),
        &["model: ", "holds neither model.safetensors nor model.safetensors.index.json"],
    );
}

#[test]
fn a_model_directory_that_does_not_fit_is_named() {
    let remove = |name: &'static str| move |place: &Place| fs::remove_file(place.path(name)).unwrap();
    let spoil = |name: &'static str, text: &'static str| move |place: &Place| place.write(name, text);
    check_model(remove("model/tokenizer.json"), &["model/tokenizer.json: no such file"]);
    check_model(spoil("model/tokenizer.json", "{"), &["model/tokenizer.json: "]);
    check_model(spoil("model/tokenizer_config.json", "{"), &["model/tokenizer_config.json: "]);
    check_model(spoil("model/chat_template.jinja", "{% if %}"), &["model/chat_template.jinja: "]);
    check_model(remove("model/config.json"), &["model `model`", "no config.json"]);
    check_model(spoil("model/config.json", "{"), &["model/config.json: malformed JSON"]);
    check_model(spoil("model/config.json", "[]"), &["model/config.json: ", "`model_type`"]);
    check_model(with_config("model_type", json!("gpt2")), &["config.json", "`gpt2`", "supported: llama"]);
    check_model(with_config("vocab_size", json!(100)), &["`vocab_size` is 100", "ids up to 1023"]);
    check_model(with_config("hidden_size", json!("32")), &["`hidden_size`", "\"32\""]);
    check_model(with_config("hidden_size", json!(-5)), &["`hidden_size`", "-5"]);
    check_model(with_config("num_attention_heads", json!(0)), &["`num_attention_heads`", "found 0"]);
    check_model(with_config("num_hidden_layers", json!(u64::MAX)), &["`num_hidden_layers`"]);
    check_model(with_config("rms_norm_eps", json!([])), &["`rms_norm_eps`"]);

    let place = Place::new();
    let words = |model: &str| format!("--model {model} --dataset data.jsonl --output-dir out");
    check(&place, &words("./nothing"), &["model `./nothing`", "no such file or directory"]);
    check(&place, &words("org/nothing"), &["model `org/nothing`", "HF_HUB_OFFLINE"]);
    check(&place, &words("data.jsonl"), &["model `data.jsonl`", "name the directory"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("--lerning-rate 1e-4", &["unknown option `--lerning-rate`; did you mean `--learning-rate`?"]);
    refused("stray", &["unexpected argument `stray`"]);
    refused("--seed 1 --seed 2", &["`--seed` is given twice"]);
    refused("--learning-rate -1", &["`learning_rate` = -1"]);
    refused("--learning-rate nan", &["`learning_rate` = NaN"]);
    refused("--learning-rate much", &["`--learning-rate`", "`much`"]);
    refused("--max-steps", &["`--max-steps` expects a value"]);
    refused("--max-steps 0", &["`max_steps` = 0"]);
    refused("--max-steps 99999999999999999999", &["`--max-steps`", "too large"]);
    refused("--num-train-epochs 0", &["`num_train_epochs` = 0"]);
    refused("--per-device-train-batch-size 0", &["`per_device_train_batch_size` = 0"]);
    refused("--gradient-accumulation-steps -3", &["`--gradient-accumulation-steps`", "`-3`"]);
    refused("--warmup-ratio 1.5", &["`warmup_ratio` = 1.5"]);
    refused("--warmup-ratio 0.1 --warmup-steps 3", &["`warmup_steps` = 3", "say it once"]);
    refused("--lr-scheduler-type cosin", &["did you mean `cosine`?"]);
    refused("--lr-scheduler-type warmup_stable_decay", &["needs num_decay_steps"]);
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
    refused("--dtype bfloat16", &["`--dtype`", "always float32"]);
    refused("--report-to wandb", &["`wandb` needs a service"]);
    #[cfg(not(feature = "cuda"))]
    refused("--device cuda", &["--device cuda: this binary was built without it", "--features cuda"]);
}

#[test]
fn options_without_effect_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("--bf16", &["`--bf16` has no effect here"]);
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
    refused(
        "out",
        "--resume-from-checkpoint first/checkpoint-9",
        &["first/checkpoint-9: there is no such checkpoint"],
    );
    refused("out", "--resume-from-checkpoint model", &["model: is not a complete checkpoint"]);
    refused("first", "--resume-from-checkpoint first/checkpoint-1", &["first/checkpoint-2: is later than"]);
    refused(
        "first",
        "--resume-from-checkpoint last --learning-rate 0.5 --max-length 70",
        &[
            "checkpoint-2 was made with other options",
            "learning_rate was unset, is 0.5",
            "max_length was 1024, is 70",
        ],
    );
    let nowhere = format!("--model model --dataset data.jsonl {short} --resume-from-checkpoint nowhere");
    check(&place, &nowhere, &["resume_from_checkpoint: nowhere is not a directory"]);
}
