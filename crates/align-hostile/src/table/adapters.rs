//! Adapters: options that make none, and directories that hold something else than they say.

use serde_json::{Value, json};

use super::row_with;
use crate::row::{Content, Row};

const SETTINGS: &str = "adapter/adapter_config.json";
const TENSORS: &str = "adapter/adapter_model.safetensors";

pub(super) fn rows() -> Vec<Row> {
    [options(), settings(), files()].into_iter().flatten().collect()
}

/// Options of a new adapter, in programs that train one.
fn options() -> Vec<Row> {
    let option = |option: &str, value: &str, says: &str| {
        let row = row_with(&format!("--{option} {value}"), "train-sft", "--use-peft");
        row.word(format!("--{option}={value}")).refused(&[says])
    };
    let mut rows = vec![
        option("lora-target-modules", "nowhere", "there are q_proj"),
        option("lora-target-modules", "", "lora_target_modules"),
        option("lora-target-modules", "(((((", "regular expression"),
        option("lora-target-modules", "(a*)*(a*)*(a*)*!", "fits"),
        option("lora-target-modules", "\u{1b}[31m", "regular expression"),
        option("lora-target-modules", &"x,".repeat(50_000), "module"),
        option("exclude-modules", ".*", "fits"),
        option("exclude-modules", "(", "regular expression"),
        option("layers-to-transform", "4000000000", "layers-to-transform"),
        option("layers-to-transform", "60000", "fits"),
        option("layers-to-transform", "x", "layers-to-transform"),
        option("lora-modules-to-save", "nowhere", "modules_to_save"),
        option("lora-modules-to-save", "*", "regular expression"),
        option("rank-pattern", "q_proj", "NAME=NUMBER"),
        option("rank-pattern", "q_proj=-1", "NAME=NUMBER"),
        option("rank-pattern", "q_proj=99999999999999999999", "NAME=NUMBER"),
        option("rank-pattern", "q_proj=4000000000", "expected a rank"),
        option("rank-pattern", "(=2", "regular expression"),
        option("alpha-pattern", "q_proj=nan", "NAME=NUMBER"),
        option("alpha-pattern", "=", "NAME=NUMBER"),
        option("init-lora-weights", "olora", "init-lora-weights"),
        option("trainable-token-indices", "7000000", "expected tokens below"),
        option("trainable-token-indices", "4294967296", "trainable-token-indices"),
        option("trainable-token-indices", "-1", "trainable-token-indices"),
        option("trainable-token-indices", "5,6,5", "twice"),
        option("lora-task-type", "SEQ_2_SEQ_LM", "CAUSAL_LM"),
        option("lora-bias", "perhaps", "lora-bias"),
        option("use-rslora", "2", "use-rslora"),
        option("use-dora", "x", "use-dora"),
        option("load-in-4bit", "4", "load-in-4bit"),
        option("load-in-8bit", "x", "load-in-8bit"),
        option("bnb-4bit-quant-type", "int4", "bnb-4bit-quant-type"),
        option("bnb-4bit-use-double-quant", "true", "load-in-4bit"),
    ];
    for program in ["train-sft", "train-dpo", "train-reward", "train-ppo"] {
        rows.push(
            row_with("an adapter's option without an adapter", program, "--lora-r 8").refused(&["use-peft"]),
        );
        rows.push(
            row_with("a rank above every weight", program, "--use-peft --lora-r 65536").refused(&["lora_r"]),
        );
        let both = "--use-peft --resize-token-embeddings";
        rows.push(row_with("an adapter over a model that grows", program, both).refused(&[]));
        rows.push(
            row_with("an adapter over an adapter", program, "--model adapter --use-peft")
                .refused(&["is an adapter"]),
        );
        rows.push(row_with("an adapter that is trained further", program, "--model adapter").makes("out"));
    }
    rows.push(
        row_with("a reference that moves with an adapter", "train-dpo", "--use-peft --sync-ref-model")
            .refused(&["sync_ref_model"]),
    );
    rows
}

/// Settings that say something else than what is there, or nothing.
fn settings() -> Vec<Row> {
    let set = |pointer: &'static str, value: Value| {
        let row =
            row_with(&format!("adapter_config.json: {pointer} = {value}"), "generate", "--model adapter");
        row.set(SETTINGS, pointer, value)
    };
    let refused = [
        ("/r", json!(0)),
        ("/r", json!(-1)),
        ("/r", json!(1e300)),
        ("/r", json!(8)),
        ("/r", json!("4")),
        ("/lora_alpha", json!("x")),
        ("/lora_alpha", json!(0)),
        ("/lora_dropout", json!(1)),
        ("/lora_dropout", json!([])),
        ("/peft_type", json!("IA3")),
        ("/peft_type", json!(null)),
        ("/bias", json!("all")),
        ("/target_modules", json!([])),
        ("/target_modules", json!([1])),
        ("/target_modules", json!({ "a": 1 })),
        ("/target_modules", json!("(")),
        ("/target_modules", json!(["q_proj", "nowhere"])),
        ("/exclude_modules", json!(7)),
        ("/rank_pattern", json!({ "q_proj": 3 })),
        ("/rank_pattern", json!({ "(": 3 })),
        ("/alpha_pattern", json!({ "q_proj": "x" })),
        ("/modules_to_save", json!(["nowhere"])),
        ("/layers_to_transform", json!([99])),
        ("/use_dora", json!(true)),
        ("/use_dora", json!("yes")),
        ("/fan_in_fan_out", json!(true)),
        ("/target_parameters", json!(["experts.gate_up_proj"])),
        ("/trainable_token_indices", json!([1, 2])),
        ("/layer_replication", json!([[0, 1], [0, 1]])),
        ("/alora_invocation_tokens", json!([1])),
        ("/init_lora_weights", json!("pissa")),
        ("/base_model_name_or_path", json!(null)),
        ("/base_model_name_or_path", json!("")),
        ("/base_model_name_or_path", json!("nowhere")),
        ("/base_model_name_or_path", json!("org/nowhere")),
        ("/base_model_name_or_path", json!("../adapter")),
        ("/base_model_name_or_path", json!("../sft.jsonl")),
        ("/base_model_name_or_path", json!("\u{1b}[31m")),
        ("/task_type", json!("SEQ_CLS")),
    ];
    refused.into_iter().map(|(pointer, value)| set(pointer, value).refused(&["adapter"])).collect()
}

fn files() -> Vec<Row> {
    let edited = |name: &str, content: Content| {
        row_with(name, "generate", "--model adapter").with(TENSORS, content).refused(&["adapter"])
    };
    let with = |name: &str, path: &str, content: Content| {
        row_with(name, "generate", "--model adapter")
            .with(path, Content::Gone)
            .with(path, content)
            .refused(&["adapter"])
    };
    let cut = |length: usize| {
        Content::Edit(Box::new(move |bytes: Vec<u8>| bytes[..bytes.len().min(length)].to_vec()))
    };
    vec![
        edited("an adapter without tensors", Content::Gone),
        with("an adapter's tensors are a directory", TENSORS, Content::Directory),
        with("an adapter's tensors are a pipe", TENSORS, Content::Fifo),
        edited("an adapter's tensors are nothing", cut(0)),
        edited("an adapter's header is cut off", cut(100)),
        edited("an adapter's tensors are cut off", cut(5000)),
        with("an adapter's tensors are those of a model", TENSORS, Content::Copy("model/model.safetensors")),
        with("an adapter's settings are nothing", SETTINGS, Content::Bytes(Vec::new())),
        with("an adapter's settings are a list", SETTINGS, Content::Bytes(b"[]".to_vec())),
        with("an adapter's settings are deep", SETTINGS, Content::Bytes("[".repeat(100_000).into_bytes())),
        with(
            "an adapter's settings are not Unicode",
            SETTINGS,
            Content::Bytes(b"{\"r\": \"\xff\"}".to_vec()),
        ),
        with("an adapter's settings are large", SETTINGS, Content::Sparse(1 << 31)),
        row_with("an adapter whose base is gone", "generate", "--model adapter")
            .with("model", Content::Gone)
            .refused(&["base_model_name_or_path"]),
        row_with("an adapter for a reward model", "score", "--model adapter").refused(&["language model"]),
    ]
}
