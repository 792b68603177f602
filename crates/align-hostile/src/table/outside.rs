//! Programs and servers that are asked for rewards and give something else.

use super::row_with;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    let refused = |name: &str, option: &str, value: &str, says: &[&str]| {
        row_with(name, "train-ppo", "").word(format!("--{option}={value}")).refused(says)
    };
    let mut rows = vec![
        refused("a reward command that there is not", "reward-command", "./nowhere", &["reward_command"]),
        refused("no reward command", "reward-command", " ", &["expected a program"]),
        refused("a pipe for a reward command", "reward-command", "cat | cat", &["`|`", "sh -c"]),
        refused("a reward command that goes to a file", "reward-command", "cat >sft.jsonl", &["sh -c"]),
        refused("half a quote for a reward command", "reward-command", "'", &["quotes in pairs"]),
        refused("a reward command that commands the terminal", "reward-command", "\u{1b}]0;x\u{7}", &[]),
        refused("a reward command of 100,000 letters", "reward-command", &"x".repeat(100_000), &[]),
        refused("a directory for a reward command", "reward-command", "./model", &["cannot be started"]),
        refused("a reward url that is none", "reward-url", "nowhere", &["reward_url"]),
        refused("a reward url with a password", "reward-url", "http://a:b@host/", &["reward_url"]),
        refused("a reward url of another kind", "reward-url", "file:///etc/passwd", &["reward_url"]),
    ];
    // What the run ends with when it has begun.
    for (name, script, says) in [
        ("dies", "exit 3", "exit status: 3"),
        ("repeats the question", "cat", "expected {\"rewards\""),
        ("never ends its line", "tr '\\0' x < /dev/zero", "a line of more than"),
        ("never stops talking", "yes '[1, 2]'", "more than one line"),
        ("says nothing", "sleep 600", "gave no reply"),
        ("shouts without end", "yes | tr -d '\\n' | head -c 3000000 >&2; exec cat >&2", ""),
        ("is not Unicode", "read -r line; printf '\\377\\376\\n'; cat > /dev/null", "no JSON"),
        (
            "nests without end",
            "read -r line; head -c 1000000 /dev/zero | tr '\\0' '['; echo; cat > /dev/null",
            "no JSON",
        ),
        (
            "gives no numbers",
            "while read -r line; do echo '[null]'; done",
            "expected a finite number, found null",
        ),
        ("gives numbers that are too large", "while read -r line; do echo '[1e999]'; done", "no JSON"),
    ] {
        let program = format!("#!/bin/sh\n{script}\n");
        let options = "--reward-batch-size 1 --reward-timeout 2";
        let row =
            row_with(&format!("a reward command that {name}"), "train-ppo", options).put("score.sh", program);
        rows.push(row.word("--reward-command=sh score.sh").makes("out").ends(&[1], &[says]));
        let looks = row_with(&format!("in a dry run, a reward command that {name}"), "train-ppo", options)
            .put("score.sh", format!("#!/bin/sh\n{script}\n"));
        // What talks at once may be caught before it is asked or by its answer.
        let says = if says == "more than one line" { "sh score.sh" } else { says };
        rows.push(looks.word("--dry-run").word("--reward-command=sh score.sh").refused(&[says]));
    }
    rows.extend(["score", "evaluate"].into_iter().flat_map(elsewhere));
    rows
}

/// The programs that ask for rewards and do not train.
fn elsewhere(program: &'static str) -> Vec<Row> {
    let asks = |name: &str, command: &str| {
        let call = match program {
            "score" => "--dataset pairs.jsonl",
            _ => "--model model --prompts pairs.jsonl --num-prompts 2 --max-new-tokens 2 --output-dir out",
        };
        let row = Row::new(format!("{program}: {name}"), program, call);
        row.word(format!("--reward-command={command}"))
            .word("--reward-timeout=2")
            .word("--reward-batch-size=1")
    };
    let gives = |name: &str, script: &str, says: &str| {
        let row = asks(name, "sh score.sh").put("score.sh", format!("#!/bin/sh\n{script}\n"));
        row.makes("out").ends(&[1], &[says])
    };
    vec![
        asks("a reward command that there is not", "./nowhere").refused(&["reward_command"]),
        asks("a pipe for a reward command", "cat | cat").refused(&["sh -c"]),
        gives("a reward command that dies", "exit 3", "exit status: 3"),
        gives("a reward command that says nothing", "sleep 600", "gave no reply"),
        gives("a reward command that never stops talking", "yes '[1, 2]'", "sh score.sh"),
        row_with("a reward url that is none", program, "--reward-url nowhere").refused(&["reward_"]),
    ]
}
