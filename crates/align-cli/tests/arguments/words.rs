//! How options are written on the command line, and what the help shows.

use super::*;

#[test]
fn names_are_spelled_with_dashes_or_underscores() {
    assert_eq!(ok("--learning-rate 0.5").learning_rate, 0.5);
    assert_eq!(ok("--learning_rate 0.5").learning_rate, 0.5);
    assert_eq!(ok("--learning_rate=0.5").learning_rate, 0.5);
}

#[test]
fn negative_numbers_are_values() {
    assert_eq!(ok("--beta -0.5 --max_steps -1").beta, -0.5);
}

#[test]
fn switches_are_spelled_three_ways() {
    assert!(!ok("").load_best_model_at_end);
    for yes in ["--load-best-model-at-end", "--load_best_model_at_end=true", "--load-best-model-at-end True"]
    {
        assert!(ok(yes).load_best_model_at_end, "{yes}");
    }
    for no in ["--load-best-model-at-end=false", "--load-best-model-at-end no"] {
        assert!(!ok(no).load_best_model_at_end, "{no}");
    }
    assert!(ok("").completion_only_loss);
    assert!(!ok("--completion-only-loss false").completion_only_loss);
    assert_eq!(ok("").add_bos_token, None);
    assert_eq!(ok("--add_bos_token").add_bos_token, Some(true));
    assert_eq!(ok("--add_bos_token 0").add_bos_token, Some(false));
    assert!(!ok("--no-completion-only-loss").completion_only_loss);
    assert_eq!(ok("--no_add_bos_token").add_bos_token, Some(false));
    assert!(
        error("--no-completion-only-loss=true").starts_with("unknown option `--no-completion-only-loss`")
    );
    assert!(error("--no-max-length").starts_with("unknown option `--no-max-length`"));
    let message = error("--load-best-model-at-end=maybe");
    assert!(message.starts_with("`--load-best-model-at-end` cannot be `maybe`"), "{message}");
}

#[test]
fn the_word_after_a_switch_is_its_own_unless_it_is_a_truth_value() {
    let options = run("--load-best-model-at-end hello").unwrap().options;
    assert!(options.train.load_best_model_at_end);
    assert_eq!(options.prompts, ["hello"]);
}

#[test]
fn lists_are_written_with_commas_or_by_repeating() {
    assert_eq!(ok("--report-to a,b").report_to, ["a", "b"]);
    assert_eq!(ok("--report-to a --report_to=b").report_to, ["a", "b"]);
}

#[test]
fn older_names_are_taken_with_a_notice() {
    let parsed = run("--evaluation_strategy steps --pref_beta 0.7").unwrap();
    assert_eq!(parsed.options.train.eval_strategy, Strategy::Steps);
    assert_eq!(parsed.options.train.beta, 0.7);
    assert_eq!(
        parsed.notices,
        [
            "`--evaluation-strategy` is an older name; taken as `--eval-strategy`",
            "`--pref-beta` is LLaMA-Factory's name; taken as `--beta`"
        ]
    );
    let (_dir, path) = file("model = \"m\"\ndataset = \"d\"\ncutoff_len = 9\n");
    let parsed = run(&format!("--config {}", path.display())).unwrap();
    assert_eq!(parsed.options.train.max_length, Some(9));
    assert!(
        parsed.notices[0]
            .ends_with("config.toml:3: `cutoff_len` is LLaMA-Factory's name; taken as `max_length`")
    );
    assert_eq!(run("").unwrap().notices, Vec::<String>::new());
    // Its successor is no option of this program.
    assert!(error("--ppo-epochs 4").starts_with("unknown option `--ppo-epochs`"));
}

#[test]
fn what_asks_for_what_is_done_anyway_is_left_out_with_a_notice() {
    let words = "--tf32 false --no-fp16 --no_remove_unused_columns --adafactor false \
                 --dataloader_num_workers=4 --padding_free hello --report-to=none";
    let parsed = run(words).unwrap();
    assert_eq!(parsed.options.prompts, ["hello"]);
    assert_eq!(
        parsed.notices,
        [
            "left out, as it changes no result here: `--tf32 false`, `--no-fp16`: weights are always float32, and \
          products can be in bfloat16 (`dtype`); `--no_remove_unused_columns`: columns that are not needed are never \
          read; `--adafactor false`: the optimizer is named by `optim` (here: `adafactor`); `--dataloader_num_workers \
          4`: records are read in this process, ahead of training; `--padding_free`: batches are packed without \
          padding"
        ]
    );
    assert!(!parsed.settings.contains("adafactor"), "{}", parsed.settings);
    let text = "model = \"m\"\ndataset = \"d\"\nfp16 = false\nadafactor = false\ndataset_num_proc = 2\n";
    let (_dir, path) = file(text);
    let notices = run(&format!("--config {}", path.display())).unwrap().notices;
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].ends_with(
            "config.toml: left out, as it changes no result here: line 3 `fp16 = false`: weights are always float32, and \
             products can be in bfloat16 (`dtype`); line 4 `adafactor = false`: the optimizer is named by `optim` (here: \
             `adafactor`); line 5 `dataset_num_proc = 2`: records are read in this process, ahead of training"
        ),
        "{notices:?}"
    );
    for wanted in ["--fp16", "--fp16 true", "--fp16=maybe", "--no-fp16=false", "--adafactor"] {
        assert!(error(wanted).contains("has no effect here"), "{wanted}");
    }
    for wanted in ["--packing", "--dataloader-num-workers many", "--push_to_hub True", "--data_seed 1"] {
        assert!(error(wanted).contains("has no effect here"), "{wanted}");
    }
    assert!(file_error("fp16 = [false]").contains("has no effect here"));
}

#[test]
fn an_optimizer_of_the_peer_that_is_not_here_names_the_nearest() {
    for (name, nearest) in [
        ("paged_adamw_8bit", "adamw_8bit"),
        ("adamw_anyprecision", "adamw_torch"),
        ("adamw", "adamw_torch"),
        ("lion_8bit", "lion"),
        ("galore_adafactor", "adafactor"),
        ("lomo", "sgd"),
    ] {
        let expected = format!("`{name}` is not supported; the nearest is `{nearest}`");
        let found = error(&format!("--optim {name}"));
        assert!(found.contains(&expected), "{found}");
        assert!(file_error(&format!("optim = \"{name}\"")).contains(&expected), "{name}");
    }
    for name in ["adamw_torch", "adamw_torch_fused", "adamw_8bit", "adamw_bnb_8bit", "lion_32bit", "muon"] {
        run(&format!("--optim {name}")).unwrap();
    }
}

#[test]
fn arguments_of_an_option_may_be_a_table_of_the_file() {
    let of = |line: &str| {
        let (_dir, path) = file(&format!("model = \"m\"\ndataset = \"d\"\n{line}\n"));
        let parsed = run(&format!("--config {}", path.display())).unwrap();
        let again = parsed.settings.clone();
        let (_dir, path) = file(&again);
        let repeated = run(&format!("--config {}", path.display())).unwrap().options.train;
        assert_eq!(repeated.lr_scheduler_kwargs, parsed.options.train.lr_scheduler_kwargs, "{again}");
        parsed.options.train.lr_scheduler_kwargs.unwrap()
    };
    let table = of("lr_scheduler_kwargs = { num_cycles = 2, min_lr = 1e-5, mode = \"max\", on = true }");
    let expected = serde_json::json!({ "num_cycles": 2, "min_lr": 1e-5, "mode": "max", "on": true });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&table).unwrap(), expected);
    assert_eq!(of("lr_scheduler_kwargs = \"num_cycles=2\""), "num_cycles=2");
    assert_eq!(of("lr_scheduler_kwargs = { a = { b = [1] } }"), r#"{"a":{"b":[1]}}"#);
}

#[test]
fn help_is_shown_even_beside_mistakes() {
    assert!(matches!(run("--config absent.toml --help"), Err(ArgumentError::Help(_))));
}

#[test]
fn help_is_grouped_and_shows_defaults() {
    let Err(ArgumentError::Help(help)) = run("--help") else { panic!("expected help") };
    for part in [
        "A demonstration.",
        "Model and device:",
        "Output:",
        "Training:",
        "--beta <BETA>",
        "--learning-rate <NUMBER>",
        "[default: 0.1]",
        "built-in example",
    ] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert!(matches!(run("--version"), Err(ArgumentError::Help(_))));
}
