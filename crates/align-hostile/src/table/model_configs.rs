//! `config.json` and `generation_config.json` of a model.

use serde_json::{Value, json};

use super::{row, row_with};
use crate::make::nested;
use crate::row::{Content, Row};

const CONFIG: &str = "model/config.json";

pub(super) fn rows() -> Vec<Row> {
    [shapes(), fresh(), rope(), texts(), rewards(), generation()].into_iter().flatten().collect()
}

fn field(pointer: &'static str, value: Value) -> Row {
    let shown: String = value.to_string().chars().take(40).collect();
    row(&format!("config.json: {pointer} = {shown}"), "generate").set(CONFIG, pointer, value)
}

fn refused(pointer: &'static str, value: Value) -> Row {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    field(pointer, value).refused(&["config.json", name])
}

/// Numbers of the decoder's shape that cannot be, and those that are only not these weights'.
fn shapes() -> Vec<Row> {
    let mut rows = Vec::new();
    for pointer in [
        "/vocab_size",
        "/hidden_size",
        "/intermediate_size",
        "/num_hidden_layers",
        "/num_attention_heads",
        "/num_key_value_heads",
        "/max_position_embeddings",
    ] {
        for value in [
            json!(0),
            json!(-1),
            json!("many"),
            json!(1.5),
            json!([1]),
            json!(18_446_744_073_709_551_615_u64),
        ] {
            rows.push(refused(pointer, value));
        }
    }
    for pointer in ["/vocab_size", "/hidden_size", "/intermediate_size", "/num_hidden_layers"] {
        rows.push(refused(pointer, Value::Null));
        for value in [4_294_967_295_u64, 1_000_000_000] {
            rows.push(field(pointer, json!(value)).refused(&[]));
        }
    }
    rows.extend([
        field("/num_hidden_layers", json!(30_000_000)).refused(&["num_hidden_layers"]),
        field("/num_hidden_layers", json!(3)).refused(&["model.layers.2"]),
        field("/num_hidden_layers", json!(1)).refused(&["model.layers.1"]),
        refused("/head_dim", json!(0)),
        refused("/head_dim", json!(7)),
        field("/head_dim", json!(4_294_967_294_u64)).refused(&[]),
        field("/num_attention_heads", json!(4_294_967_292_u64)).refused(&[]),
        refused("/num_key_value_heads", json!(3)),
        field("/max_position_embeddings", json!(4_294_967_295_u64)).ends(&[0, 2], &[]),
        row_with("config.json: positions and tokens without end", "generate", "--max-new-tokens 4290000000")
            .set(CONFIG, "/max_position_embeddings", 4_294_967_295_u64)
            .refused(&["max-new-tokens"]),
        field("/vocab_size", json!(1025)).refused(&["embed_tokens"]),
        refused("/hidden_act", json!("relu")),
        refused("/hidden_act", json!(3)),
        refused("/final_logit_softcapping", json!(30.0)),
        refused("/attention_multiplier", json!(0.5)),
        refused("/quantization_config", json!({ "quant_method": "gptq" })),
        refused("/layer_types", json!(["sliding_attention"])),
        refused("/num_experts", json!(8)),
        field("/final_logit_softcapping", Value::Null).ends(&[0], &[]),
        refused("/attention_bias", json!("yes")),
        field("/attention_bias", json!(true)).refused(&["bias"]),
        refused("/tie_word_embeddings", json!("yes")),
        field("/tie_word_embeddings", json!(false)).refused(&["lm_head.weight"]),
        refused("/model_type", json!("gpt2")),
        refused("/model_type", json!(7)),
        refused("/model_type", Value::Null),
        field("/model_type", json!("\u{1b}[31m\u{7}")).refused(&["config.json"]),
        field("/model_type", json!("x".repeat(100_000))).refused(&["config.json"]),
        field("/architectures", json!(["T5ForConditionalGeneration"])).ends(&[0, 2], &[]),
        field("/architectures", json!(7)).ends(&[0, 2], &[]),
    ]);
    rows
}

/// Weights that are made rather than read have no file to compare with.
fn fresh() -> Vec<Row> {
    let fresh = |name: &str, changes: &[(&'static str, Value)]| {
        let row = row_with(&format!("fresh weights: {name}"), "train-sft", "--from-scratch");
        changes
            .iter()
            .fold(row, |row, (pointer, value)| row.set(CONFIG, pointer, value.clone()))
            .refused(&["config.json"])
    };
    let large = |number: u64| json!(number);
    vec![
        fresh(
            "a product above 2^64",
            &[("/hidden_size", large(1 << 40)), ("/intermediate_size", large(1 << 40))],
        ),
        fresh("hidden_size 4,294,967,292", &[("/hidden_size", large(4_294_967_292))]),
        fresh("hidden_size 10^9", &[("/hidden_size", large(1_000_000_000))]),
        fresh("intermediate_size 2^32 − 1", &[("/intermediate_size", large(4_294_967_295))]),
        fresh("30 million layers", &[("/num_hidden_layers", large(30_000_000))]),
        fresh(
            "heads above memory",
            &[("/num_attention_heads", large(1 << 30)), ("/num_key_value_heads", large(1 << 30))],
        ),
        fresh("a deviation that is none", &[("/initializer_range", json!("wide"))]),
        fresh("a negative deviation", &[("/initializer_range", json!(-1))]),
        fresh("a deviation without end", &[("/initializer_range", json!(1e308))])
            .ends(&[1, 2], &[])
            .makes("out"),
    ]
}

fn rope() -> Vec<Row> {
    let mut rows = Vec::new();
    for value in [json!(0), json!(-5), json!("wide"), json!(1e300), json!(1e-300)] {
        rows.push(refused("/rope_parameters/rope_theta", value));
    }
    for value in [json!(-1), json!(0), json!("small"), json!(1e300)] {
        rows.push(refused("/rms_norm_eps", value));
    }
    for value in [json!(5), json!("default"), json!([1])] {
        rows.push(refused("/rope_parameters", value));
    }
    rows.push(refused("/rope_parameters/rope_type", json!("ntk")).refused(&["config.json", "ntk"]));
    rows.push(refused("/rope_parameters/rope_type", json!(3)));
    let scaled = |name: &str, parameters: Value, says: &[&str]| {
        row(&format!("rope: {name}"), "generate")
            .set(CONFIG, "/rope_parameters", parameters)
            .refused(&[&["config.json"], says].concat())
    };
    rows.extend([
        scaled("yarn without a factor", json!({ "rope_type": "yarn" }), &["factor"]),
        scaled(
            "yarn from no positions",
            json!({ "rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 0 }),
            &["original_max_position_embeddings"],
        ),
        scaled(
            "yarn with a ramp of no turns",
            json!({ "rope_type": "yarn", "factor": 4, "beta_fast": "many" }),
            &["beta_fast"],
        ),
        scaled("dynamic by a text", json!({ "rope_type": "dynamic", "factor": "2" }), &["factor"]),
        scaled(
            "longrope without divisors",
            json!({ "rope_type": "longrope", "factor": 2 }),
            &["short_factor"],
        ),
        scaled(
            "longrope with too few divisors",
            json!({ "rope_type": "longrope", "short_factor": [1, 1], "long_factor": [1, 1] }),
            &["short_factor"],
        ),
        scaled(
            "a part of each head",
            json!({ "rope_type": "default", "partial_rotary_factor": 0.5 }),
            &["partial_rotary_factor"],
        ),
        scaled("a parameter of nothing", json!({ "rope_type": "default", "stretch": 3 }), &["stretch"]),
        scaled("linear without a factor", json!({ "rope_type": "linear" }), &["factor"]),
        scaled("a factor of 0", json!({ "rope_type": "linear", "factor": 0 }), &["factor"]),
        scaled("a negative factor", json!({ "rope_type": "linear", "factor": -2 }), &["factor"]),
        scaled("a factor below f32", json!({ "rope_type": "linear", "factor": 1e-300 }), &["factor"]),
        scaled("a factor above f32", json!({ "rope_type": "linear", "factor": 1e300 }), &["factor"]),
        scaled(
            "llama3 with one frequency factor twice",
            json!({ "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
                    "original_max_position_embeddings": 64 }),
            &["freq_factor"],
        ),
        scaled(
            "llama3 for no positions",
            json!({ "rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
                    "original_max_position_embeddings": 0 }),
            &["original_max_position_embeddings"],
        ),
    ]);
    rows
}

/// The file as a text.
fn texts() -> Vec<Row> {
    let text = |name: &str, content: Content| {
        row(&format!("config.json: {name}"), "generate").with(CONFIG, content).refused(&["config.json"])
    };
    let bytes = |text: &str| Content::Bytes(text.as_bytes().to_vec());
    vec![
        text("empty", bytes("")),
        text("nothing but spaces", bytes("  \n ")),
        text("half", Content::Edit(Box::new(|bytes| bytes[..bytes.len() / 2].to_vec()))),
        text("a list", bytes("[]")),
        text("null", bytes("null")),
        text("a number", bytes("5")),
        text("an empty object", bytes("{}")),
        text("not JSON", bytes("{vocab_size: 1024}")),
        text("with NaN", bytes("{\"vocab_size\": NaN}")),
        text("not Unicode", Content::Bytes(b"{\"model_type\": \"\xff\"}".to_vec())),
        text("UTF-16", Content::Bytes(b"\xff\xfe{\0}\0".to_vec())),
        text("100,000 lists deep", bytes(&format!("{{\"a\":{}}}", nested("[", "]", 100_000)))),
        text("100,000 objects deep", bytes(&"{\"a\":".repeat(100_000))),
        text("of 20 GB", Content::Sparse(20_000_000_000)),
        text("an endless device", Content::Link("/dev/zero".to_owned())),
        text("a link to itself", Content::Link("config.json".to_owned()))
            .with("model/other", Content::Directory),
        text("a pipe that nobody writes to", Content::Fifo),
        text("a directory", Content::Directory),
        text("not there", Content::Gone),
    ]
    .into_iter()
    .map(without_the_first)
    .collect()
}

/// A link, a pipe or a directory can only be put where nothing is.
fn without_the_first(mut row: Row) -> Row {
    let takes_place =
        |content: &Content| matches!(content, Content::Link(_) | Content::Fifo | Content::Directory);
    if let Some(at) = row.files.iter().position(|(_, content)| takes_place(content)) {
        let name = row.files[at].0.clone();
        row.files.insert(at, (name, Content::Gone));
    }
    row
}

/// What only a reward model's config has.
fn rewards() -> Vec<Row> {
    let score = |name: &str, pointer: &'static str, value: Value, says: &[&str]| {
        row(&format!("reward's config.json: {name}"), "score")
            .set("reward/config.json", pointer, value)
            .refused(says)
    };
    vec![
        score("two labels", "/id2label", json!({ "0": "a", "1": "b" }), &["reward"]),
        score("100,000 labels", "/num_labels", json!(4_000_000_000_u64), &[]).ends(&[0, 2], &[]),
        score("a language model's", "/architectures", json!(["LlamaForCausalLM"]), &["reward"]),
        score("a head that there is not", "/reward_head", json!({ "type": "tree" }), &["reward_head"]),
        score("a head without a width", "/reward_head", json!({ "type": "mlp" }), &["hidden_size"]),
        score("a head of no width", "/reward_head", json!({ "type": "mlp", "hidden_size": 0 }), &[]),
        score(
            "a head above memory",
            "/reward_head",
            json!({ "type": "mlp", "hidden_size": 4_000_000_000_000_u64 }),
            &[],
        ),
        score("a head that is a number", "/reward_head", json!(5), &["reward_head"]),
        row_with("a normalisation that is none", "score", "--normalize")
            .put("reward/reward_normalization.json", "{\"mean\": 0, \"std\": 0, \"answers\": 3}")
            .refused(&["reward_normalization.json"]),
        row_with("a normalisation with a negative deviation", "score", "--normalize")
            .put("reward/reward_normalization.json", "{\"mean\": 0, \"std\": -1, \"answers\": 3}")
            .refused(&["reward_normalization.json"]),
        row_with("a normalisation that is no JSON", "score", "--normalize")
            .put("reward/reward_normalization.json", "{")
            .refused(&["reward_normalization.json"]),
    ]
}

fn generation() -> Vec<Row> {
    let config = |name: &str, text: &str| {
        row(&format!("generation_config.json: {name}"), "generate")
            .put("model/generation_config.json", text)
            .refused(&["generation_config.json"])
    };
    vec![
        config("not JSON", "{"),
        config("a list", "[]").ends(&[0, 2], &[]),
        config("an end that is text", "{\"eos_token_id\": \"</s>\"}"),
        config("a negative end", "{\"eos_token_id\": -1}"),
        config("an end above 2^32", "{\"eos_token_id\": 4294967298}"),
        config("an end beyond the vocabulary", "{\"eos_token_id\": 5000}").ends(&[0, 2], &[]),
        config("a list of ends, one of them no number", "{\"eos_token_id\": [2, \"a\"]}"),
        config("100,000 lists deep", &format!("{{\"eos_token_id\": {}}}", nested("[", "]", 100_000))),
    ]
}
