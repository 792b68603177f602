//! What is wrong, in one line that says where.

use super::*;

#[test]
fn errors_of_a_file_name_the_line() {
    let check = |text: &str, expected: &str| assert_eq!(file_error(text), expected);
    check(
        "# rate\n\nlearning_rat = 1e-4\n",
        "config.toml:3: unknown key `learning_rat`; did you mean `learning_rate`?",
    );
    check("zzz = 1", "config.toml:1: unknown key `zzz`; `--help` lists all options");
    check("beta = \"0.1\"", "config.toml:1: `beta` expects a number, found the text \"0.1\"");
    check("\nmax_steps = 1.5", "config.toml:2: `max_steps` expects a whole number, found the number 1.5");
    check("dataset_name = true", "config.toml:1: `dataset_name` expects a text in quotes, found true");
    check(
        "load_best_model_at_end = 1",
        "config.toml:1: `load_best_model_at_end` expects true or false, found the number 1",
    );
    check("beta = [0.1, 0.2]", "config.toml:1: `beta` takes one value, found a list");
    check("report_to = []", "config.toml:1: `report_to` is an empty list; remove the key to get the default");
    check("max_length = -5", "config.toml:1: `max_length` cannot be `-5`: invalid digit found in string");
    check(
        "eval_strategy = \"step\"",
        "config.toml:1: `eval_strategy` expects one of no, steps, epoch; found `step`; did you mean `steps`?",
    );
    check("beta = 1\nbeta = 2", "config.toml:2: not TOML: duplicate key");
    check("max-length = 1\nmax_length = 2", "config.toml:2: `max_length` is set a second time; keep one");
    check(
        "[train]\nbeta = 1",
        "config.toml:1: `train` is a table; keys are flat, write its keys at the top level",
    );
    check("config = \"x\"", "config.toml:1: a config file cannot name another; remove `config`");
    check(
        "fp16 = true",
        "config.toml:1: `fp16 = true` has no effect here: weights are always float32, and products can be in bfloat16 \
         (`dtype`); remove it",
    );
    assert!(file_error("beta 1").starts_with("config.toml:1: not TOML: "), "{}", file_error("beta 1"));
}

#[test]
fn a_missing_file_is_named() {
    assert_eq!(error("--config absent.toml"), "--config absent.toml: No such file or directory (os error 2)");
}

#[test]
fn errors_of_the_command_line_are_one_line_with_a_suggestion() {
    let check = |words: &str, expected: &str| assert_eq!(error(words), expected);
    check("--learning-rat 1", "unknown option `--learning-rat`; did you mean `--learning-rate`?");
    check("--zzz 1", "unknown option `--zzz`; `--help` lists all options");
    check("--beta x", "`--beta` cannot be `x`: invalid float literal");
    check("--beta", "`--beta` expects a value, found none");
    check("--beta 1 --beta 2", "`--beta` is given twice; keep one");
    check("--eval-strategy never", "`--eval-strategy` expects one of no, steps, epoch; found `never`");
    check("--device gpu", "`--device` cannot be `gpu`: expected auto, cpu, cuda, cuda:N or metal");
    check(
        "--dtype float16",
        "`--dtype` cannot be `float16`: float16 overflows in training without loss scaling; expected float32 or \
         bfloat16 (files in half precision are converted on loading)",
    );
    check(
        "--activation_offloading",
        "`--activation_offloading` has no effect here: to save more memory, lower `per_device_train_batch_size`; \
         remove it",
    );
    check(
        "--report-to wandb",
        "--report-to: `wandb` needs a service and is not supported; `tensorboard` and metrics.jsonl are written \
         as files",
    );
    check("-x", "unexpected argument `-x`; options start with `--`, `--help` lists them");
}

#[test]
fn a_number_outside_its_range_is_refused_with_option_value_and_range() {
    #[derive(Debug, clap::Args)]
    struct Numbers {
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(long, value_parser = align_limits::count(), default_value_t = 8)]
        batch_size: usize,
        #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.1)]
        beta: f64,
    }
    let program = Program { recipe: None, ..PROGRAM };
    let refused = |word: &str| parse::<Numbers>(&program, ["x", word]).unwrap_err().to_string();
    assert_eq!(
        refused("--batch-size=18446744073709551615"),
        "`--batch-size` cannot be `18446744073709551615`: expected a whole number from 0 to 65536"
    );
    assert_eq!(
        refused("--beta=nan"),
        "`--beta` cannot be `nan`: expected a number from -3.4028e38 to 3.4028e38"
    );
    for (line, end) in [
        ("batch_size = 65537", "1: `batch_size` cannot be `65537`: expected a whole number from 0 to 65536"),
        (
            "batch_size = 0xffffffffffffffff",
            "1: `batch_size` cannot be `18446744073709551615`: expected a whole number from 0 to 65536",
        ),
        ("beta = nan", "1: `beta` cannot be `nan`: expected a number from -3.4028e38 to 3.4028e38"),
        ("beta = -inf", "1: `beta` cannot be `-inf`: expected a number from -3.4028e38 to 3.4028e38"),
    ] {
        let (_dir, path) = file(line);
        let error = refused(&format!("--config={}", path.display()));
        assert!(error.contains(&format!("{}:{end}", path.display())), "{error}");
    }
}

#[test]
fn a_broken_recipe_names_itself() {
    let program = PROGRAM.with_recipe("bet = 1");
    let error = parse::<Demo>(&program, ["train-demo"]).unwrap_err();
    assert_eq!(error.to_string(), "built-in recipe:1: unknown key `bet`; did you mean `beta`?");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let (_dir, path) = file("model = \"m\"\nlerning_rate = 1\nbeta = \"x\"\nfp16 = true\nmax_length = 3\n");
    let words = format!("--bet 1 --beta y --push-to-hub --max-length=z --config {}", path.display());
    let Err(ArgumentError::Several(problems)) = run(&words) else { panic!("expected several") };
    let expected = [
        "unknown option `--bet`; did you mean `--beta`?",
        "`--beta` cannot be `y`: invalid float literal",
        "`--push-to-hub` has no effect here: nothing is uploaded",
        "`--max-length` cannot be `z`: invalid digit found in string",
        "config.toml:2: unknown key `lerning_rate`; did you mean `learning_rate`?",
        "config.toml:4: `fp16 = true` has no effect here",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}");
    }
}
