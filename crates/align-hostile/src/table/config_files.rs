//! TOML and YAML files for `--config`.

use super::row;
use crate::make::nested;
use crate::row::{Content, Row};

pub(super) fn rows() -> Vec<Row> {
    let file = |name: &str, text: &str, says: &[&str]| {
        row(&format!("config file: {name}"), "train-sft")
            .word("--config=run.toml")
            .put("run.toml", text)
            .refused(&[&["run.toml"], says].concat())
    };
    let mut rows = vec![
        file("not TOML", "seed =\n", &["run.toml:1"]),
        file("a key that there is not", "seed = 1\nlerning_rate = 1\n", &["run.toml:2", "lerning_rate"]),
        file("a key twice", "seed = 1\nseed = 2\n", &["run.toml:2"]),
        file("a key twice in two spellings", "logging_steps = 1\nlogging-steps = 2\n", &["logging"]),
        file("a table", "[training]\nseed = 1\n", &["run.toml:1", "training"]),
        file("a table in a line", "seed = { a = 1 }\n", &["seed"]),
        file("a list for a number", "learning_rate = [1e-3, 2e-3]\n", &["learning_rate"]),
        file("text for a number", "\n\nlearning_rate = \"fast\"\n", &["run.toml:3", "learning_rate"]),
        file("a boolean for a number", "seed = true\n", &["seed"]),
        file("a fraction for a count", "logging_steps = 1.5\n", &["logging_steps"]),
        file("a negative count", "logging_steps = -1\n", &["logging_steps"]),
        file("no number", "learning_rate = nan\n", &[]).refused(&["learning_rate"]),
        file("an infinite number", "learning_rate = inf\n", &[]).refused(&["learning_rate"]),
        file("a number above 2^64", "seed = 99999999999999999999\n", &[]),
        file("a number of 10,000 digits", &format!("seed = {}\n", "9".repeat(10_000)), &[]),
        file("a date", "seed = 2024-01-01\n", &["seed"]),
        file("a boolean that is none", "logging_first_step = \"perhaps\"\n", &["logging_first_step"]),
        file("a config file in a config file", "config = \"run.toml\"\n", &["config"]),
        file("help", "help = true\n", &["help"]),
        file("an array of tables", "[[seed]]\na = 1\n", &["seed"]),
        file("a key of 100,000 letters", &format!("{} = 1\n", "k".repeat(100_000)), &[]),
        file(
            "a value of 100,000 letters",
            &format!("lr_scheduler_type = \"{}\"\n", "v".repeat(100_000)),
            &[],
        ),
        file("an escape sequence in a key", "\"\\u001b[31m\\u0007\" = 1\n", &[]),
        file(
            "an escape sequence in a value",
            "lr_scheduler_type = \"\\u001b[31m\\u0007\"\n",
            &["lr_scheduler_type"],
        ),
        file("lists 100,000 deep", &format!("seed = {}\n", nested("[", "]", 100_000)), &[]),
        file("tables 100,000 deep", &format!("{} = 1\n", vec!["a"; 100_000].join(".")), &[]),
        file(
            "inline tables 10,000 deep",
            &format!("seed = {}1{}\n", "{a=".repeat(10_000), "}".repeat(10_000)),
            &[],
        ),
        file("a zero byte", "seed = 1\0\n", &[]),
        file("a byte order mark and nothing", "\u{feff}= 1", &[]),
        file("carriage returns alone", "seed = 1\rlogging_steps = 0", &[]),
        file("a loss that there is not", "loss_type = \"nonsense\"\n", &["loss_type"]),
    ];
    let odd = |name: &str, content: Content, says: &[&str]| {
        row(&format!("config file: {name}"), "train-sft")
            .with("run.toml", content)
            .word("--config=run.toml")
            .refused(&[&["run.toml"], says].concat())
    };
    rows.extend([
        odd("not Unicode", Content::Bytes(b"seed = \"\xff\xfe\"\n".to_vec()), &[]),
        odd("UTF-16", Content::Bytes(b"\xff\xfes\0e\0e\0d\0=\x001\0".to_vec()), &[]),
        odd("a directory", Content::Directory, &[]),
        odd("a pipe that nobody writes to", Content::Fifo, &[]),
        odd("a link to itself", Content::Link("run.toml".to_owned()), &[]),
        odd("an endless device", Content::Link("/dev/zero".to_owned()), &[]),
        odd("of 20 GB", Content::Sparse(20_000_000_000), &[]),
        odd("random bytes", Content::Bytes((0..2000u32).map(|i| (i * i % 251) as u8).collect()), &[]),
    ]);
    rows.extend(yaml());
    rows.extend(["generate", "score", "evaluate", "train-dpo", "train-reward", "train-ppo"].map(|program| {
        row("config file: a key that there is not", program)
            .word("--config=run.toml")
            .put("run.toml", "lerning_rate_of = 1\n")
            .refused(&["run.toml:1", "lerning_rate_of"])
    }));
    rows
}

/// The same in YAML.
fn yaml() -> Vec<Row> {
    let yaml = |name: &str, content: Content, says: &[&str]| {
        row(&format!("config file in YAML: {name}"), "train-sft")
            .word("--config=run.yaml")
            .with("run.yaml", content)
            .refused(&[&["run.yaml"], says].concat())
    };
    let file = |name: &str, text: &str, says: &[&str]| yaml(name, Content::Bytes(text.into()), says);
    let bomb: String = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("{text}a{level}: &a{level} [{aliases}]\n")
    });
    vec![
        file("not YAML", "seed: [1\n", &[]),
        file("TOML", "seed = 1\n", &["run.yaml:1"]),
        file("a list", "- seed\n", &["run.yaml:1"]),
        file("a key that there is not", "seed: 1\nlerning_rate: 1\n", &["run.yaml:2", "lerning_rate"]),
        file("a key twice", "seed: 1\nseed: 2\n", &["run.yaml:2", "seed"]),
        file("a key that is a list", "? [seed]\n: 1\n", &["run.yaml:1"]),
        file("a key without a value", "learning_rate_of:\n", &["run.yaml:1"]),
        file("nothing for a number", "logging_steps:\n", &["run.yaml:1", "logging_steps"]),
        file("a number of eight's", "seed: 010\n", &["seed"]),
        file("a number of sixty's", "seed: 1:30\n", &["seed"]),
        file("a number below none", "seed: -1\n", &["seed"]),
        file("no number", "learning_rate: .nan\n", &["learning_rate"]),
        file("an infinite number", "learning_rate: -.inf\n", &["learning_rate"]),
        file("text for a number", "learning_rate: fast\n", &["learning_rate"]),
        file("a boolean for a number", "seed: yes\n", &["seed"]),
        file("a number of 10,000 digits", &format!("seed: {}\n", "9".repeat(10_000)), &["seed"]),
        file("a table for a number", "seed:\n  a: 1\n", &["seed"]),
        file("a group of keys", "training:\n  seed: 1\n", &["run.yaml:1", "training"]),
        file("lists within arguments", "lr_scheduler_kwargs: [[[]]]\n", &[])
            .refused(&["lr_scheduler_kwargs"]),
        file("an alias", "seed: &s 1\nlogging_steps: *s\n", &["run.yaml:2", "alias"]),
        file("an alias of nothing", "seed: *s\n", &["run.yaml:1"]),
        file("aliases that grow", &bomb, &["run.yaml:2", "alias"]),
        file("keys to be merged", "a: &a {seed: 1}\n<<: *a\n", &["alias"]),
        file("a tag", "seed: !!python/object/apply:os.system [ls]\n", &["run.yaml:1", "tag"]),
        file("a second document", "seed: 1\n---\nseed: 2\n", &["run.yaml:2"]),
        file("lists 100,000 deep", &format!("seed: {}\n", nested("[", "]", 100_000)), &[]),
        file("tables 10,000 deep", &format!("seed: {}1{}\n", "{a: ".repeat(10_000), "}".repeat(10_000)), &[]),
        file("spaces 100,000 deep", &format!("seed:\n{}- 1\n", " ".repeat(100_000)), &["seed"]),
        file("200,000 items", &format!("seed: [{}]\n", "1,".repeat(200_000)), &["too many"]),
        file("a key of 100,000 letters", &format!("{}: 1\n", "k".repeat(100_000)), &[]),
        file("a quote without an end", &format!("seed: \"{}\n", "x".repeat(100_000)), &[]),
        file("an escape sequence in a key", "\"\\e[31m\\a\": 1\n", &[]),
        file("an escape sequence in a value", "lr_scheduler_type: \"\\e[31m\\a\"\n", &["lr_scheduler_type"]),
        file("a zero byte", "seed: 1\0\n", &[]),
        file("tabs for spaces", "lr_scheduler_kwargs:\n\ta: 1\n", &[]),
        file(
            "an option that is only elsewhere",
            "seed: 1\npush_to_hub: true\n",
            &["run.yaml:2", "push_to_hub"],
        ),
        file("a config file in a config file", "config: run.yaml\n", &["config"]),
        yaml("not Unicode", Content::Bytes(b"seed: \xff\xfe\n".to_vec()), &[]),
        yaml("UTF-16", Content::Bytes(b"\xff\xfes\0e\0e\0d\0:\x001\0".to_vec()), &[]),
        yaml("an endless device", Content::Link("/dev/zero".to_owned()), &[]),
        yaml("of 20 GB", Content::Sparse(20_000_000_000), &[]),
        yaml("random bytes", Content::Bytes((0..2000u32).map(|i| (i * i % 251) as u8).collect()), &[]),
    ]
}
