//! Config files in YAML: what a word without quotes means, and what is not read.

use super::*;

/// The training options of a file that also names a model and data.
fn of(lines: &str) -> TrainOptions {
    let (_dir, path) = file_called("recipe.yaml", &format!("model: m\ndataset: d\n{lines}"));
    ok(&format!("--config {}", path.display()))
}

fn yaml_error(text: &str) -> String {
    error_in("recipe.yml", text)
}

#[test]
fn the_same_keys_as_in_toml_and_on_the_command_line() {
    let options = of(
        "beta: .5\nmax-length: 1_024\nreport_to: [a, 'b']\nload_best_model_at_end: true\neval_strategy: steps\n",
    );
    assert_eq!((options.beta, options.max_length, options.eval_strategy), (0.5, Some(1024), Strategy::Steps));
    assert_eq!(options.report_to, ["a", "b"]);
    assert!(options.load_best_model_at_end);
    assert_eq!(of("report_to:\n- a\n- b\n").report_to, ["a", "b"]);
}

#[test]
fn the_option_says_what_a_word_means() {
    for rate in ["1e-5", "1.0e-5", "0.00001", "+1E-5", "1_0e-6"] {
        assert_eq!(of(&format!("learning_rate: {rate}\n")).learning_rate, 1e-5, "{rate}");
    }
    for (word, on) in [("true", true), ("True", true), ("yes", true), ("no", false), ("OFF", false)] {
        assert_eq!(of(&format!("load_best_model_at_end: {word}\n")).load_best_model_at_end, on, "{word}");
    }
    assert_eq!(of("eval_strategy: no\n").eval_strategy, Strategy::No);
    assert_eq!(of("optim: no\n").optim.as_deref(), Some("no"));
    assert_eq!(of("optim: 0123\n").optim.as_deref(), Some("0123"), "a commit, say");
    let refused = |line: &str, found: &str| {
        let error = yaml_error(&format!("{line}\n"));
        assert!(error.starts_with("recipe.yml:1: ") && error.contains(found), "{error}");
    };
    refused("max_length: 010", "expects a whole number, found `010`"); // eight to Python, ten to others
    refused("max_length: 0x10", "found `0x10`");
    refused("max_length: 1:30", "found `1:30`");
    refused("beta: inf", "expects a number, found `inf`");
    refused("beta: '0.1'", "expects a number, found the text");
    refused("load_best_model_at_end: 1", "expects true or false, found `1`");
    refused("load_best_model_at_end: perhaps", "expects true or false, found `perhaps`");
    refused("beta: [0.1]", "takes one value, found a list");
}

#[test]
fn nothing_is_the_default_only_where_that_is_nothing_too() {
    assert_eq!(of("max_length: null\n").max_length, Some(0), "no limit");
    let options =
        of("optim:\nadd_bos_token: ~\nload_best_model_at_end:\ntorch_dtype: null\nwandb_project:\n");
    assert_eq!((options.optim, options.add_bos_token), (None, None));
    assert_eq!(
        yaml_error("beta:\n"),
        "recipe.yml:1: `beta` has no value; give one, or remove the line for the default, 0.1"
    );
    assert!(yaml_error("bet:\n").contains("unknown key `bet`"));
}

#[test]
fn tables_and_lists_reach_the_options_that_take_them() {
    let options = of(
        "lr_scheduler_kwargs:\n  min_lr: 1e-5\n  mode: max\n  on: True\nrank_pattern:\n  q_proj: 8\n  v_proj: 4\n\
                      mixture:\n- path: a\n  columns: [x, 'y']\n- path: b\n  fraction: 0.5\n  split: 1\n",
    );
    let json = |text: Option<String>| serde_json::from_str::<serde_json::Value>(&text.unwrap()).unwrap();
    let expected = serde_json::json!({ "min_lr": 1e-5, "mode": "max", "on": true });
    assert_eq!(json(options.lr_scheduler_kwargs), expected);
    assert_eq!(options.rank_pattern, ["q_proj=8", "v_proj=4"]);
    let expected = serde_json::json!([{ "path": "a", "columns": ["x", "y"] }, { "path": "b", "fraction": 0.5, "split": 1 }]);
    assert_eq!(json(options.mixture), expected);
    assert!(yaml_error("beta: {a: 1}\n").contains("`beta` is a table"));
    assert!(yaml_error("training:\n  beta: 1\n").contains("`training` is a table"));
}

#[test]
fn what_is_not_read_names_its_line() {
    let check = |text: &str, expected: &str| {
        let error = yaml_error(text);
        assert!(error.starts_with(expected), "{error}");
    };
    check("beta: 1\nbeta: 2\n", "recipe.yml:2: not YAML that is read: a key that stands twice: `beta`");
    check("max-length: 1\nmax_length: 2\n", "recipe.yml:2: `max_length` is set a second time; keep one");
    check("a: &b 1\nbeta: *b\n", "recipe.yml:2: not YAML that is read: an alias");
    check("- beta\n", "recipe.yml:1: expected lines of `key: value`");
    check("beta 1\n", "recipe.yml:1: expected lines of `key: value`");
    check("beta: [1\n", "recipe.yml:");
    check("config: x\n", "recipe.yml:1: a config file cannot name another");
}
