//! Where data comes from: tables that are damaged or none, cards, configs, splits and parts of splits that do not exist.

use std::path::Path;

use super::{row, row_with};
use crate::make::gzip_bomb;
use crate::row::{Content, Row};

pub(super) fn rows() -> Vec<Row> {
    [parquet(), tables(), layouts(), inputs(), streams(), mixtures()].into_iter().flatten().collect()
}

/// A file of align-data's tests, as PyArrow or `datasets` wrote it.
fn written(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../align-data/tests/fixtures/sources");
    std::fs::read(folder.join(name)).unwrap_or_default()
}

fn parquet() -> Vec<Row> {
    let file = |name: &str, bytes: Vec<u8>| {
        row_with(&format!("parquet: {name}"), "train-dpo", "--dataset pairs.parquet")
            .put("pairs.parquet", bytes)
            .refused(&["pairs.parquet"])
    };
    let whole = || written("pairs.parquet");
    let size = whole().len();
    let with = |at: usize, bytes: &[u8]| {
        let mut whole = whole();
        whole[at..at + bytes.len()].copy_from_slice(bytes);
        whole
    };
    let footer = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
        [b"PAR1", bytes, &length, b"PAR1"].concat()
    };
    let mut rows = vec![
        file("nothing", Vec::new()),
        file("the magic alone", b"PAR1".to_vec()),
        file("the magic twice", b"PAR1PAR1".to_vec()),
        file("text", b"{\"prompt\": \"a\"}\n".to_vec()),
        file("half", whole()[..size / 2].to_vec()),
        file("no end", whole()[..size - 1].to_vec()),
        file("encrypted", with(size - 4, b"PARE")),
        file("a footer longer than the file", with(size - 8, &u32::MAX.to_le_bytes())),
        file("a footer of no bytes", with(size - 8, &0u32.to_le_bytes())),
        file("a footer of zeros", footer(&[0; 1000])),
        file("a footer of ones", footer(&[0xff; 1000])),
        file(
            "a schema of two thousand million columns",
            footer(&[0x15, 4, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 7]),
        ),
        file("structures in each other", footer(&[0x1c; 100_000])),
        file("zeros for pages", {
            let mut whole = whole();
            whole[4..size / 3].fill(0);
            whole
        }),
        file("ones for pages", {
            let mut whole = whole();
            whole[4..size / 3].fill(0xff);
            whole
        }),
        file("a codec that is not read", written("types-brotli.parquet")).refused(&["brotli"]),
        file("an encoding that is not read", written("delta-strings.parquet")).refused(&["DELTA_BYTE_ARRAY"]),
        file("forty million nulls in 560 bytes", written("bomb-nulls.parquet")).refused(&["pairs.parquet:1"]),
        file("terabytes of text in 671 bytes", written("bomb-texts.parquet"))
            .refused(&["pairs.parquet:1", "256 MiB"]),
        file("columns of other names", written("types-zstd.parquet")).refused(&["pairs.parquet:1", "chosen"]),
    ];
    // The first page's header begins behind the magic: its sizes, its kind.
    for (name, at) in [("kind", 5), ("size", 7), ("packed size", 9)] {
        rows.push(file(&format!("a first page with another {name}"), with(at, &[0x7f])));
    }
    rows
}

fn tables() -> Vec<Row> {
    let file = |name: &str, text: &[u8]| {
        row_with(&format!("csv: {name}"), "train-sft", "--dataset rows.csv")
            .put("rows.csv", text)
            .refused(&["rows.csv"])
    };
    let bomb = |name: &str, path: &str| {
        let call = format!("--dataset {path}");
        row_with(&format!("{name}: a line without an end, packed"), "train-sft", &call)
            .make(path, || gzip_bomb(4))
            .refused(&[path, "256 MiB"])
    };
    vec![
        file("nothing", b""),
        file("names alone", b"prompt,completion\n"),
        file("a field too many", b"prompt,completion\na,b\na,b,c\n").refused(&["rows.csv:3", "found 3"]),
        file("a field too few", b"prompt,completion\na\n").refused(&["rows.csv:2", "found 1"]),
        file("a name twice", b"prompt,prompt\na,b\n").refused(&["rows.csv:1", "twice"]),
        file("a quote that is not closed", b"prompt,completion\na,\"b\nc,d\n").refused(&["rows.csv:2"]),
        file("an empty field", b"prompt,completion\na,\n").refused(&["rows.csv:2", "completion"]),
        file("not Unicode", b"prompt,completion\na,\xff\n").refused(&["rows.csv:2", "UTF-8"]),
        file("other names", b"headline,body\na,b\n").refused(&["rows.csv:2", "text"]),
        file("a parquet file", &written("pairs.parquet")),
        bomb("csv", "rows.csv.gz"),
        bomb("text", "rows.txt.gz"),
        row_with("csv: rows", "train-sft", "--dataset rows.csv")
            .put("rows.csv", "prompt,completion\nwho,\" is, it\"\nwhat,\" is it\"\n")
            .accepted()
            .makes("out"),
    ]
}

fn layouts() -> Vec<Row> {
    let set = |name: &str, card: &str, options: &str| {
        row_with(&format!("data set: {name}"), "train-sft", &format!("--dataset set {options}"))
            .put("set/README.md", card)
            .put("set/train.csv", "prompt,completion\nwho,\" is it\"\n")
            .refused(&[])
    };
    let card = "---\nconfigs:\n- config_name: a\n  data_files: train.csv\n- config_name: b\n  data_files: b/*\n---\n";
    let alias = "---\nconfigs: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\n";
    vec![
        set("a config that does not exist", card, "--dataset-config c")
            .refused(&["no config `c`", "`a`, `b`"]),
        set("a config that has to be named", card, "").refused(&["--dataset-config", "`a`, `b`"]),
        set("a config without files", card, "--dataset-config b").refused(&["no split `train`"]),
        set("a config where there are none", "# Data", "--dataset-config a").refused(&["no config `a`"]),
        set("an empty config", card, "--dataset-config=").refused(&["dataset_config"]),
        set("a card with a key too many", "---\nconfigs: [\n---\n", "").refused(&["README.md"]),
        set("a card with aliases", alias, "").refused(&["README.md", "alias"]),
        set("a split that does not exist", "# Data", "--dataset-train-split dev")
            .refused(&["no split `dev`", "`train`"]),
        set("a part without an end", "# Data", "--dataset-train-split train[5").refused(&["train[5"]),
        set("a part of more than all", "# Data", "--dataset-train-split train[:101%]").refused(&["100 %"]),
        set("a part that is nothing", "# Data", "--dataset-train-split train[7:]")
            .refused(&["holds no rows"]),
        set("part of a file", "# Data", "--dataset-train-split train[:50%](pct1_dropremainder)")
            .refused(&["100"]),
        row_with("data set: a config of a file", "train-sft", "--dataset sft.jsonl --dataset-config a")
            .refused(&["dataset_config", "has no effect"]),
        row_with("data set: a config of a file", "generate", "--dataset-config a")
            .refused(&["dataset_config", "has no effect"]),
        row("data set: a config of a file", "score")
            .word("--dataset-config=a")
            .refused(&["dataset_config", "has no effect"]),
        row("data set: a config of a file", "evaluate")
            .word("--dataset-config=a")
            .refused(&["dataset_config", "has no effect"]),
        row_with("data set: tables of Arrow", "train-dpo", "--dataset saved")
            .put("saved/dataset_dict.json", "{}")
            .put("saved/train/state.json", "{}")
            .put("saved/train/data-00000-of-00001.arrow", written("saved/train/data-00000-of-00002.arrow"))
            .refused(&["to_parquet"]),
        row_with("data set: a pattern of nothing", "train-sft", "--dataset nothing/*.csv")
            .refused(&["nothing/*.csv", "no file of this pattern"]),
        row_with("data set: a pattern of pipes", "train-sft", "--dataset pipes/*.jsonl")
            .with("pipes/a.jsonl", Content::Fifo)
            .refused(&["no file of this pattern"]),
    ]
}

/// Streams.
fn streams() -> Vec<Row> {
    let stream = |name: &str, program, options: &str, says: &[&str]| {
        row_with(&format!("stream: {name}"), program, &format!("--dataset-streaming {options}")).refused(says)
    };
    vec![
        stream("no length", "train-sft", "--max-steps -1", &["dataset_streaming", "max_steps"]),
        stream("no rows", "train-sft", "--max-tokens-per-micro-batch 64", &["dataset_streaming"]),
        stream("bins", "train-sft", "--packing", &["dataset_streaming", "packing"]),
        stream(
            "an order",
            "train-dpo",
            "--train-sampling-strategy group_by_length",
            &["train_sampling_strategy"],
        ),
        stream(
            "a part",
            "train-dpo",
            "--dataset-train-split train[:5]",
            &["dataset_streaming", "whole split"],
        ),
        stream("prompts", "train-ppo", "", &["dataset_streaming", "prompts"]),
    ]
}

/// Standard input.
fn inputs() -> Vec<Row> {
    let input = |name: &str, options: &str, text: &str| {
        row_with(&format!("standard input: {name}"), "train-sft", &format!("--dataset - {options}"))
            .input(text)
    };
    let rows = "{\"prompt\": \"who\", \"completion\": \" is it\"}\n".repeat(3);
    vec![
        input("nothing", "", "").refused(&["- holds no rows"]),
        input("no rows", "", "who is it\n").refused(&["-:1"]),
        input("a percentage", "--dataset-train-split train[:50%]", &rows).refused(&["standard input"]),
        input("rows", "", &rows).accepted().makes("out"),
        row_with(
            "standard input: rows without end",
            "train-sft",
            "--dataset - --dataset-streaming --max-steps 2",
        )
        .shell(
            "mkfifo rows; yes '{\"prompt\": \"who\", \"completion\": \" is it\"}' >rows & exec 0<rows; rm rows",
        )
        .accepted()
        .makes("out"),
        row("standard input: twice", "train-sft")
            .word_instead("--dataset", "-")
            .word("--eval-dataset=-")
            .input(rows)
            .refused(&["- holds no rows"]),
    ]
}

/// Several data sets.
fn mixtures() -> Vec<Row> {
    let of = |name: &str, option: &str, value: &str, fragments: &[&str]| {
        Row::new(format!("mixture: {name}"), "train-sft", "--model model --output-dir out")
            .word(format!("--{option}={value}"))
            .put("few.jsonl", "{\"prompt\": \"who\", \"completion\": \" is it\"}\n".repeat(3))
            .put("none.jsonl", "")
            .put("empty.jsonl", "{\"prompt\": \"who\", \"completion\": \"\"}\n")
            .refused(fragments)
    };
    let sets = |name: &str, value: &str, fragments: &[&str]| of(name, "datasets", value, fragments);
    let mixer = |name: &str, value: &str, fragments: &[&str]| of(name, "dataset-mixer", value, fragments);
    let pair = |first: &str, second: &str| {
        format!("[{{\"path\": \"sft.jsonl\"{first}}}, {{\"path\": \"few.jsonl\"{second}}}]")
    };
    let weights = |first: &str, second: &str| {
        pair(&format!(", \"fraction\": {first}"), &format!(", \"fraction\": {second}"))
    };
    vec![
        sets("no JSON", "sft.jsonl", &["datasets: expected a list"]),
        sets("no list", "{\"path\": \"sft.jsonl\"}", &["datasets: expected a list"]),
        sets("nothing", "[]", &["datasets: expected a list"]),
        sets("a list of numbers", "[1]", &["datasets: [0]"]),
        sets("too many sets", &format!("[{}]", vec!["1"; 2000].join(",")), &["2000", "1000"]),
        sets("lists in each other", &"[".repeat(100_000), &["datasets: expected a list"]),
        sets("no path", "[{}]", &["datasets: [0]", "path"]),
        sets("an empty path", "[{\"path\": \" \"}]", &["datasets: [0]", "empty"]),
        sets("an unknown key", &pair("", ", \"weight\": 1"), &["datasets: [1]", "`weight`", "`fraction`"]),
        sets(
            "a key twice",
            &pair("", ", \"split\": \"train\", \"split\": \"test\""),
            &["duplicate field `split`"],
        ),
        sets("a weight of zero", &weights("1", "0"), &["datasets: [1]", "`fraction` above 0"]),
        sets("a weight below zero", &weights("-1", "1"), &["datasets: [0]", "`fraction` above 0"]),
        sets("a weight that is no number", &weights("\"nan\"", "1"), &["datasets: [0]"]),
        sets("a weight without end", &weights("1e999", "1"), &["datasets"]),
        sets("weights of which one is nearly nothing", &weights("1e-300", "1"), &["rounds to nothing"]),
        sets("weights of which one is nearly all", &weights("1e308", "1e308"), &["datasets"]),
        sets(
            "a weight for one of two",
            &pair(", \"fraction\": 1", ""),
            &["for all data sets or for none", "few.jsonl"],
        ),
        sets(
            "a set twice",
            "[{\"path\": \"few.jsonl\"}, {\"path\": \"few.jsonl\"}]",
            &["each data set once"],
        ),
        sets(
            "a set that is not there",
            "[{\"path\": \"few.jsonl\"}, {\"path\": \"nowhere.jsonl\"}]",
            &["nowhere.jsonl"],
        ),
        sets(
            "a set without rows",
            "[{\"path\": \"few.jsonl\"}, {\"path\": \"none.jsonl\"}]",
            &["none.jsonl holds no rows"],
        ),
        sets(
            "a set without rows that can be used",
            "[{\"path\": \"few.jsonl\"}, {\"path\": \"empty.jsonl\"}]",
            &["empty.jsonl:1"],
        ),
        sets(
            "a column that is not there",
            &pair("", ", \"columns\": [\"prompt\", \"answer\"]"),
            &["few.jsonl", "`answer`"],
        ),
        sets("columns without any", &pair("", ", \"columns\": []"), &["datasets: [1]", "`columns`"]),
        sets(
            "a mapping of what nothing reads",
            &pair("", ", \"column_mapping\": {\"colour\": \"a\"}"),
            &["column_mapping"],
        ),
        sets(
            "a mapping to a number",
            &pair("", ", \"column_mapping\": {\"prompt\": 1}"),
            &["datasets: [1]", "column_mapping"],
        ),
        sets(
            "a split of a file",
            &pair("", ", \"split\": \"dev\""),
            &["datasets", "has no effect on few.jsonl"],
        ),
        sets(
            "a config of a file",
            &pair("", ", \"name\": \"a\""),
            &["datasets", "has no effect on few.jsonl"],
        ),
        sets(
            "standard input with a weight",
            "[{\"path\": \"few.jsonl\", \"fraction\": 1}, {\"path\": \"-\", \"fraction\": 1}]",
            &["standard input"],
        ),
        mixer("a share of nothing", "sft.jsonl=1,few.jsonl=0", &["dataset_mixer", "few.jsonl=0"]),
        mixer("a share of more than all", "few.jsonl=1.5", &["dataset_mixer", "few.jsonl=1.5"]),
        mixer("a share that is no number", "few.jsonl=nan", &["dataset_mixer", "few.jsonl=nan"]),
        mixer("a share below zero", "few.jsonl=-0.5", &["dataset_mixer", "few.jsonl=-0.5"]),
        mixer("no share", "few.jsonl", &["dataset_mixer", "few.jsonl"]),
        mixer("a share of no row", "sft.jsonl=1,few.jsonl=0.3", &["dataset_mixer", "rounds to nothing"]),
        mixer("a set twice among shares", "few.jsonl=1,few.jsonl=0.5", &["each data set once"]),
        mixer("beside a list", "few.jsonl=1", &["dataset_mixer", "no effect"])
            .word("--datasets=[{\"path\":\"few.jsonl\"}]"),
        mixer("beside a data set", "few.jsonl=1", &["dataset_name", "no effect"]).word("--dataset=sft.jsonl"),
        sets("with a split for all", &pair("", ""), &["dataset_train_split", "no effect"])
            .word("--dataset-train-split=a"),
        sets("with a config for all", &pair("", ""), &["dataset_config", "no effect"])
            .word("--dataset-config=a"),
        sets("two sets", &weights("0.5", "0.5"), &[]).accepted().makes("out"),
    ]
}
