//! Token ids equal TRL's.
//!
//! `tests/fixtures/trl` holds small rows and what TRL 1.16 made of them (`make.py` there). A larger folder of
//! recorded TRL runs is replayed with `ALIGN_TRL_RUNS=DIR cargo test -p align-data --test trl_parity --
//! --nocapture`; it holds `pairs.jsonl`, `unpaired.jsonl`, `prompt_completion.jsonl`, `text.jsonl`, `model/` with the
//! tokenizer, and `NAME/tokenized.jsonl` and `NAME/log.json` for those of the named runs it has.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "a replay says what it replayed")]

use std::path::{Path, PathBuf};

use align_data::{
    LearnedPart, TokenizeOptions, Tokenizer, load_demonstrations, load_pairs, load_unpaired,
    tokenize_demonstrations, tokenize_pairs, tokenize_unpaired,
};
use serde_json::Value;

/// A row in TRL's terms: prompt, chosen and rejected ids; prompt, completion and mismatched ids; or input ids and
/// labels (-100 = not learned).
type Ids = Vec<Vec<i64>>;

fn rows(file: &Path, keys: &[&str]) -> Vec<Ids> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let ids = |key: &&str| row[key].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
        keys.iter().map(ids).collect()
    };
    text.lines().map(row).collect()
}

fn signed(ids: &[u32]) -> Vec<i64> {
    ids.iter().copied().map(i64::from).collect()
}

fn our_pairs(data: &Path, tokenizer: &Tokenizer, options: &TokenizeOptions) -> Vec<Ids> {
    let pairs = load_pairs(data, "train").unwrap();
    let (pairs, report) = tokenize_pairs(&pairs, tokenizer, options).unwrap();
    println!("{}: {report}", data.display());
    pairs
        .iter()
        .map(|pair| vec![signed(&pair.prompt), signed(&pair.chosen), signed(&pair.rejected)])
        .collect()
}

/// Prompt, completion and the mismatched completion of KTO: the one before it among the rows that TRL rotates
/// together, the first after the last.
fn our_unpaired(
    data: &Path,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
    rotated: usize,
) -> (Vec<Ids>, Vec<bool>) {
    let records = load_unpaired(data, "train").unwrap();
    let (rows, report) = tokenize_unpaired(&records, tokenizer, options).unwrap();
    println!("{}: {report}", data.display());
    let mut ids = Vec::new();
    for rows in rows.chunks(rotated) {
        for (place, row) in rows.iter().enumerate() {
            let other = &rows[(place + rows.len() - 1) % rows.len()];
            let mismatched = other.completion_after(&row.prompt, options.max_length);
            ids.push(vec![signed(&row.prompt), signed(&row.completion), signed(&mismatched)]);
        }
    }
    (ids, rows.iter().map(|row| row.desirable).collect())
}

/// Compares with what KTO's trainer recorded and its collator then cuts.
fn assert_same_unpaired(
    name: &str,
    (ids, labels): (Vec<Ids>, Vec<bool>),
    recorded: &Path,
    max_length: usize,
) {
    let theirs = rows(recorded, &["prompt_ids", "completion_ids", "KL_completion_ids"]);
    let theirs: Vec<_> = theirs.into_iter().map(|row| collated(row, max_length)).collect();
    assert_same(name, &ids, &theirs);
    let text = std::fs::read_to_string(recorded).unwrap();
    let label = |line: &str| serde_json::from_str::<Value>(line).unwrap()["label"].as_bool().unwrap();
    assert_eq!(labels, text.lines().map(label).collect::<Vec<_>>(), "{name}: labels");
}

fn our_demonstrations(data: &Path, tokenizer: &Tokenizer, options: &TokenizeOptions) -> Vec<Ids> {
    let demonstrations = load_demonstrations(data, "train").unwrap();
    // TRL's default learns all turns of a conversation.
    let learned = LearnedPart { assistant_only_loss: Some(false), ..LearnedPart::default() };
    let (examples, report) = tokenize_demonstrations(&demonstrations, tokenizer, options, &learned).unwrap();
    println!("{}: {report}", data.display());
    let label = |(&id, &learned): (&u32, &bool)| if learned { i64::from(id) } else { -100 };
    let labels = |tokens: &[u32], mask: &[bool]| tokens.iter().zip(mask).map(label).collect();
    examples.iter().map(|e| vec![signed(&e.tokens), labels(&e.tokens, &e.mask)]).collect()
}

fn assert_same(name: &str, ours: &[Ids], theirs: &[Ids]) {
    assert_eq!(ours.len(), theirs.len(), "{name}: number of rows");
    for (row, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(ours, theirs, "{name}: row {row}");
    }
    println!("{name}: {} rows equal TRL's", ours.len());
}

/// Rows that TRL's KTO rotates together where nothing is said: its default batch size.
const TRL_BATCH_SIZE: usize = 8;

/// TRL's preference trainer truncates when it collates a batch: `(prompt + answer)[:max_length]`.
fn collated(mut row: Ids, max_length: usize) -> Ids {
    let room = max_length - row[0].len();
    for answer in &mut row[1..] {
        answer.truncate(room);
    }
    row
}

#[test]
fn small_rows_have_trls_token_ids() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let tokenizer = Tokenizer::load(dir.join("tokenizer")).unwrap();
    let options = TokenizeOptions { max_length: Some(64), ..TokenizeOptions::default() };
    for name in ["pairs", "pairs_conversational", "pairs_implicit"] {
        let ours = our_pairs(&dir.join(format!("trl/{name}.jsonl")), &tokenizer, &options);
        let theirs = rows(
            &dir.join(format!("trl/{name}.tokenized.jsonl")),
            &["prompt_ids", "chosen_ids", "rejected_ids"],
        );
        let theirs: Vec<_> = theirs.into_iter().map(|row| collated(row, 64)).collect();
        assert_same(name, &ours, &theirs);
    }
    for name in ["unpaired", "unpaired_conversational"] {
        let data = dir.join(format!("trl/{name}.jsonl"));
        let ours = our_unpaired(&data, &tokenizer, &options, TRL_BATCH_SIZE);
        assert_same_unpaired(name, ours, &dir.join(format!("trl/{name}.tokenized.jsonl")), 64);
    }
    for name in ["prompt_completion", "prompt_completion_conversational", "text", "messages"] {
        let ours = our_demonstrations(&dir.join(format!("trl/{name}.jsonl")), &tokenizer, &options);
        let theirs = rows(&dir.join(format!("trl/{name}.tokenized.jsonl")), &["input_ids", "labels"]);
        assert_same(name, &ours, &theirs);
    }
}

/// A number among the arguments a run was recorded with.
fn argument(run: &Path, name: &str) -> usize {
    let log: Value = serde_json::from_str(&std::fs::read_to_string(run.join("log.json")).unwrap()).unwrap();
    usize::try_from(log["args"][name].as_u64().unwrap()).unwrap()
}

/// Replays those of the named runs that the folder has, with the length limit in their `log.json`.
fn replay(dir: &Path, runs: &[&str], keys: &[&str], ours: impl Fn(usize) -> Vec<Ids>) -> usize {
    let recorded = |run: &&&str| dir.join(run).join("tokenized.jsonl").is_file();
    let runs: Vec<_> = runs.iter().filter(recorded).collect();
    for run in &runs {
        let max_length = argument(&dir.join(run), "max_length");
        let theirs = rows(&dir.join(run).join("tokenized.jsonl"), keys).into_iter();
        let collate = |row| if keys[0] == "prompt_ids" { collated(row, max_length) } else { row };
        assert_same(run, &ours(max_length), &theirs.map(collate).collect::<Vec<_>>());
    }
    runs.len()
}

#[test]
fn recorded_runs_have_trls_token_ids() {
    let Some(dir) = std::env::var_os("ALIGN_TRL_RUNS").map(PathBuf::from) else { return };
    let tokenizer = Tokenizer::load(dir.join("model")).unwrap();
    let up_to = |max_length| TokenizeOptions { max_length: Some(max_length), ..TokenizeOptions::default() };
    // The CPO family puts a BOS in front of every row and records prompt and answer as one sequence.
    let with_bos = |max_length| TokenizeOptions { add_bos_token: Some(true), ..up_to(max_length) };
    let joined = |pair: Ids| {
        vec![pair[0].clone(), [&pair[0][..], &pair[1]].concat(), [&pair[0][..], &pair[2]].concat()]
    };

    let split = ["prompt_ids", "chosen_ids", "rejected_ids"];
    let whole = ["prompt_input_ids", "chosen_input_ids", "rejected_input_ids"];
    let labelled = ["input_ids", "labels"];
    let dpo = ["dpo_sigmoid", "dpo_sigmoid_bs1_accum4", "dpo_precompute", "dpo_ipo_ls", "dpo_lora"];
    let (pairs, prompt_completion, text) =
        (dir.join("pairs.jsonl"), dir.join("prompt_completion.jsonl"), dir.join("text.jsonl"));
    let replayed = replay(&dir, &dpo, &split, |max| our_pairs(&pairs, &tokenizer, &up_to(max)))
        + replay(&dir, &["cpo_sigmoid", "orpo"], &whole, |max| {
            our_pairs(&pairs, &tokenizer, &with_bos(max)).into_iter().map(joined).collect()
        })
        + replay(&dir, &["sft_prompt_completion", "sft_dft"], &labelled, |max| {
            our_demonstrations(&prompt_completion, &tokenizer, &up_to(max))
        })
        + replay(&dir, &["sft_text"], &labelled, |max| our_demonstrations(&text, &tokenizer, &up_to(max)));
    let kto = dir.join("kto");
    let replayed = replayed + usize::from(kto.is_dir());
    if kto.is_dir() {
        let (max_length, batch_size) =
            (argument(&kto, "max_length"), argument(&kto, "per_device_train_batch_size"));
        let ours = our_unpaired(&dir.join("unpaired.jsonl"), &tokenizer, &up_to(max_length), batch_size);
        assert_same_unpaired("kto", ours, &kto.join("tokenized.jsonl"), max_length);
    }
    assert!(replayed > 0, "{} holds no run to replay", dir.display());
}
