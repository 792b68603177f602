//! Files of data that are no files, or more than they look: packed, endless, elsewhere.

use super::{row, row_with};
use crate::make::{demonstration, gzip, gzip_bomb, zstd, zstd_bomb};
use crate::row::{Content, Row};

pub(super) fn rows() -> Vec<Row> {
    [packed(), bombs(), places()].into_iter().flatten().collect()
}

fn rows_of_data() -> Vec<u8> {
    (0..200)
        .map(|n| demonstration(&format!("Question {n}"), &format!(" Answer {}.", n * n)) + "\n")
        .collect::<String>()
        .into_bytes()
}

fn data(name: &str, file: &str, content: Content) -> Row {
    row_with(&format!("data file: {name}"), "train-sft", &format!("--dataset {file}"))
        .with(file, content)
        .refused(&[file])
}

fn packed() -> Vec<Row> {
    let cut = |bytes: Vec<u8>| Content::Bytes(bytes[..bytes.len() / 2].to_vec());
    let damaged = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        Content::Bytes(bytes)
    };
    let text = |text: &str| Content::Bytes(text.as_bytes().to_vec());
    vec![
        data("a truncated gzip file", "a.jsonl.gz", cut(gzip(&rows_of_data()))),
        data("a truncated zstd file", "a.jsonl.zst", cut(zstd(&rows_of_data()))),
        data("a damaged gzip file", "a.jsonl.gz", damaged(gzip(&rows_of_data()))),
        data("the beginning of a gzip file", "a.jsonl.gz", Content::Bytes(b"\x1f\x8b\x08".to_vec())),
        data("the beginning of a zstd file", "a.jsonl.zst", Content::Bytes(b"\x28\xb5\x2f\xfd".to_vec())),
        data("an empty gzip file", "a.jsonl.gz", Content::Bytes(gzip(b""))),
        data("an empty file that is called gzip", "a.jsonl.gz", Content::Bytes(Vec::new())),
        data("nothing but text in a gzip file's name", "a.jsonl.gz", text("nonsense")),
        data("gzip in gzip", "a.jsonl.gz", Content::Bytes(gzip(&gzip(&rows_of_data())))),
        data("gzip under a plain name", "a.jsonl", Content::Bytes(gzip(&rows_of_data())))
            .ends(&[0, 2], &[])
            .makes("out"),
        data("zstd under gzip's name", "a.jsonl.gz", Content::Bytes(zstd(&rows_of_data())))
            .ends(&[0, 2], &[])
            .makes("out"),
        data(
            "a zstd window of 2^41 bytes",
            "a.jsonl.zst",
            Content::Bytes(b"\x28\xb5\x2f\xfd\x00\xf8\x03\x00\x00".to_vec()),
        ),
        data(
            "a zstd file that says it holds 2^63 bytes",
            "a.jsonl.zst",
            Content::Bytes(b"\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00\x00".to_vec()),
        ),
    ]
}

fn bombs() -> Vec<Row> {
    vec![
        data("6 GB of one line in a gzip file", "a.jsonl.gz", Content::Made(Box::new(|| gzip_bomb(6)))),
        data("6 GB of one line in a zstd file", "a.jsonl.zst", Content::Made(Box::new(|| zstd_bomb(6)))),
        data("20 GB of zeros", "a.jsonl", Content::Sparse(20_000_000_000)),
        data("20 GB of zeros that begin as a list", "a.json", Content::Sparse(20_000_000_000)),
        row_with("prompts file: 6 GB of one line in a gzip file", "generate", "--prompts a.jsonl.gz")
            .make("a.jsonl.gz", || gzip_bomb(6))
            .ends(&[2], &[]),
        row_with("answers file: 6 GB of one line in a gzip file", "score", "--dataset a.jsonl.gz")
            .make("a.jsonl.gz", || gzip_bomb(6))
            .refused(&["a.jsonl.gz"]),
        Row::new("prompts: 300 MB on one line", "generate", "--model model")
            .much_input(|| vec![b'a'; 300_000_000])
            .refused(&[]),
        row_with("answers: 300 MB on one line", "score", "--dataset -")
            .much_input(|| vec![b'a'; 300_000_000])
            .refused(&[]),
    ]
}

fn places() -> Vec<Row> {
    let named = |name: &str, path: &str| {
        row_with(&format!("data file: {name}"), "train-sft", &format!("--dataset {path}")).refused(&[path])
    };
    let mut rows = vec![
        named("an endless device", "/dev/zero"),
        named("random numbers without end", "/dev/urandom"),
        named("an empty device", "/dev/null"),
        named("a file that is not there", "nowhere.jsonl"),
        named("below a file", "sft.jsonl/train.jsonl"),
        named("a directory without data", "empty").with("empty", Content::Directory),
        named("a directory with other files", "model"),
        named("the memory of the process", "/proc/self/mem"),
        data("a pipe that nobody writes to", "pipe.jsonl", Content::Fifo),
        data("a link to itself", "loop.jsonl", Content::Link("loop.jsonl".to_owned())),
        data("a link to nowhere", "dead.jsonl", Content::Link("nowhere.jsonl".to_owned())),
        data("a link to an endless device", "zero.jsonl", Content::Link("/dev/zero".to_owned())),
        data("a directory called as a file", "a.jsonl", Content::Directory),
        named("a directory whose shard is a pipe", "shards")
            .with("shards/train-00000-of-00001.jsonl", Content::Fifo),
        named("a directory that is a link to itself", "shards")
            .with("shards", Content::Link("shards".to_owned())),
        named("a directory that holds a link to itself", "shards")
            .with("shards/train", Content::Link("../shards".to_owned())),
        named("a directory whose shard is an endless device", "shards")
            .with("shards/train.jsonl", Content::Link("/dev/zero".to_owned())),
        row_with(
            "data file: a split with a way out",
            "train-sft",
            "--dataset shards --dataset-train-split ../../others/theirs",
        )
        .put("shards/train.jsonl", "{}")
        .refused(&["split"]),
        row_with("data file: an empty split", "train-sft", "--dataset shards --dataset-train-split=")
            .put("shards/train.jsonl", "{}")
            .refused(&["split"]),
        row("data file: a name of 5,000 letters", "train-sft")
            .word(format!("--eval-dataset={}", "d".repeat(5_000)))
            .refused(&[]),
        row("data file: a name with an escape sequence", "train-sft")
            .word("--eval-dataset=\u{1b}[31m\u{7}.jsonl")
            .refused(&[]),
        row_with(
            "data file: a held-out split with a way out",
            "train-sft",
            "--dataset shards --dataset-test-split ../../others",
        )
        .put("shards/train.jsonl", "{}")
        .refused(&[]),
        row("data file: held-out rows from a pipe", "train-sft")
            .word("--eval-dataset=pipe.jsonl")
            .with("pipe.jsonl", Content::Fifo)
            .refused(&["pipe.jsonl"]),
    ];
    let model = |name: &str, program: &'static str, options: &str, says: &[&str]| {
        row_with(&format!("model: {name}"), program, options).refused(says)
    };
    rows.extend([
        model("a file", "generate", "--model sft.jsonl", &["sft.jsonl"]),
        model("not there", "generate", "--model ./nowhere", &["nowhere"]),
        model("an empty directory", "generate", "--model ./empty", &["empty"])
            .with("empty", Content::Directory),
        model("a device", "generate", "--model /dev/zero", &["/dev/zero"]),
        model("a pipe", "generate", "--model ./pipe", &["pipe"]).with("pipe", Content::Fifo),
        model("a link to itself", "generate", "--model ./loop", &["loop"])
            .with("loop", Content::Link("loop".to_owned())),
        model("a reward model that writes", "generate", "--model reward", &["reward"]),
        model("a language model that scores", "score", "--model model", &["model"]),
        model("a reference that is not there", "train-dpo", "--ref-model ./nowhere", &["nowhere"]),
        model("a reference of another shape", "train-dpo", "--ref-model ./other", &[])
            .with("other", Content::Copy("model"))
            .set("other/config.json", "/vocab_size", 7),
        model("a reference with another tokenizer", "train-dpo", "--ref-model ./other", &["tokenizer"])
            .with("other", Content::Copy("model"))
            .set("other/tokenizer.json", "/model/vocab/a", 0),
        model(
            "log-probs of a reference kept in a file",
            "train-dpo",
            "--precompute-ref-log-probs --ref-log-probs-cache sft.jsonl",
            &["sft.jsonl"],
        ),
        model(
            "log-probs of a reference kept nowhere",
            "train-dpo",
            "--precompute-ref-log-probs --ref-log-probs-cache /proc/nowhere",
            &["/proc/nowhere"],
        ),
        model("a reward model that is not there", "train-ppo", "--reward-model-path ./nowhere", &["nowhere"]),
        model("a language model for rewards", "train-ppo", "--reward-model-path model", &["model"]),
    ]);
    rows
}
