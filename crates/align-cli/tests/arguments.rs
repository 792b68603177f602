//! What a user may write on the command line and in a config file, and what comes of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use align_cli::{ArgumentError, CommonOptions, DeviceChoice, OutputOptions, Parsed, Program, parse};

#[derive(Debug, Clone, clap::Args)]
struct Demo {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    train: TrainOptions,
    /// Prompts
    prompts: Vec<String>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Training")]
struct TrainOptions {
    /// Data set
    #[arg(long, alias = "dataset")]
    dataset_name: String,
    /// Step size
    #[arg(long, default_value_t = 1e-6)]
    learning_rate: f64,
    /// Strength of the KL constraint
    #[arg(long, default_value_t = 0.1)]
    beta: f64,
    #[arg(long, default_value_t = -1)]
    max_steps: i64,
    #[arg(long, default_value_t = 3.0)]
    num_train_epochs: f64,
    #[arg(long)]
    max_length: Option<usize>,
    #[arg(long)]
    load_best_model_at_end: bool,
    #[arg(long, default_value_t = true)]
    completion_only_loss: bool,
    #[arg(long)]
    add_bos_token: Option<bool>,
    #[arg(long, value_delimiter = ',', default_value = "tensorboard")]
    report_to: Vec<String>,
    #[arg(long, default_value = "no")]
    eval_strategy: Strategy,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Strategy {
    No,
    Steps,
    Epoch,
}

const RECIPE: &str = "model_name_or_path = \"fixtures/models/tiny-chat\"\n\
                      dataset_name = \"fixtures/preferences\"\n\
                      learning-rate = 3e-4\n\
                      report_to = [\"tensorboard\", \"none\"]\n";
const PROGRAM: Program = Program { name: "train-demo", about: "A demonstration.", recipe: Some(RECIPE) };

fn run(words: &str) -> Result<Parsed<Demo>, ArgumentError> {
    parse(&PROGRAM, std::iter::once("train-demo").chain(words.split_whitespace()))
}

fn ok(words: &str) -> TrainOptions {
    run(words).unwrap_or_else(|error| panic!("{words}: {error}")).options.train
}

fn error(words: &str) -> String {
    match run(words) {
        Err(ArgumentError::Invalid(message)) => {
            assert!(!message.contains('\n'), "more than one line: {message}");
            message
        }
        other => panic!("{words}: expected an error, got {other:?}"),
    }
}

/// A config file with this text, in a directory of its own.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// The error for a config file of this text, from the file's name on.
fn file_error(text: &str) -> String {
    let (_dir, path) = file(text);
    let message = error(&format!("--config {}", path.display()));
    let prefix = format!("{}/", path.parent().unwrap().display());
    message.strip_prefix(&prefix).unwrap_or(&message).to_owned()
}

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
fn without_model_data_or_file_the_recipe_is_the_lowest_layer() {
    let options = run("--beta 0.3 --device cpu").unwrap().options;
    assert_eq!(options.common.model_name_or_path, "fixtures/models/tiny-chat");
    assert_eq!(options.common.device, DeviceChoice::Cpu);
    assert_eq!(options.train.learning_rate, 3e-4);
    assert_eq!(options.train.beta, 0.3);
    assert_eq!(ok("--report-to x").report_to, ["x"]);
}

#[test]
fn a_named_model_and_data_set_leave_the_recipe_out() {
    let options = run("--model m --dataset d").unwrap().options;
    assert_eq!(options.common.model_name_or_path, "m");
    assert_eq!(options.train.learning_rate, 1e-6);
    assert_eq!(options.train.report_to, ["tensorboard"]);
    assert_eq!(error("--model m"), "`--dataset-name` is required; give it here or in a `--config` file");
    assert_eq!(
        error("--dataset d"),
        "`--model-name-or-path` is required; give it here or in a `--config` file"
    );
}

#[test]
fn the_data_set_is_required_beside_a_model_even_where_its_type_is_optional() {
    #[derive(Debug, clap::Args)]
    struct Loose {
        #[arg(long)]
        model_name_or_path: Option<String>,
        #[arg(long)]
        dataset_name: Option<String>,
    }
    let run = |word: &str, recipe| parse::<Loose>(&Program { recipe, ..PROGRAM }, ["x", word]);
    let bundled = Some("model_name_or_path = \"m\"");
    let error = run("--model-name-or-path=m", bundled).unwrap_err().to_string();
    assert_eq!(error, "`--dataset-name` is required; give it here or in a `--config` file");
    assert!(parse::<Loose>(&Program { recipe: bundled, ..PROGRAM }, ["x"]).is_ok());
    let options = run("--model-name-or-path=m", None).unwrap().options;
    assert_eq!((options.model_name_or_path.as_deref(), options.dataset_name), (Some("m"), None));
}

#[test]
fn the_command_line_overrides_the_file_also_for_lists() {
    let (_dir, path) = file(
        "model = \"m\"\ndataset_name = \"d\"\nbeta = 1\nmax-length = 1_024\nreport_to = [\"a\", \"b\"]\n\
         load_best_model_at_end = true\neval_strategy = \"steps\"\n",
    );
    let config = format!("--config {}", path.display());
    let options = ok(&config);
    assert_eq!((options.beta, options.max_length, options.eval_strategy), (1.0, Some(1024), Strategy::Steps));
    assert_eq!(options.report_to, ["a", "b"]);
    assert!(options.load_best_model_at_end);
    assert_eq!(options.learning_rate, 1e-6, "the recipe does not apply beside a file");
    let options = ok(&format!("--report_to c --dataset other {config} --load-best-model-at-end=false"));
    assert_eq!(options.report_to, ["c"]);
    assert_eq!(options.dataset_name, "other");
    assert!(!options.load_best_model_at_end);
}

#[test]
fn of_options_that_say_the_same_the_one_in_the_higher_layer_holds() {
    let with = |text: &str, words: &str| {
        let (_dir, path) = file(&format!("model = \"m\"\ndataset = \"d\"\n{text}"));
        let parsed = run(&format!("--config {} {words}", path.display())).unwrap();
        let TrainOptions { max_steps, num_train_epochs, .. } = parsed.options.train;
        let given = |name: &str| parsed.given.contains(name);
        (max_steps, num_train_epochs, given("max_steps"), given("num_train_epochs"))
    };
    assert_eq!(with("max_steps = 100", "--num-train-epochs 2"), (-1, 2.0, false, true));
    assert_eq!(with("num_train_epochs = 2", "--max-steps 5"), (5, 3.0, true, false));
    assert_eq!(with("num_train_epochs = 2", "--max-steps=-1"), (-1, 2.0, false, true), "which says nothing");
    // In one layer nothing says which of them is meant: that is for the program to refuse.
    assert_eq!(with("max_steps = 5\nnum_train_epochs = 2", ""), (5, 2.0, true, true));
}

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
        "bf16 = true",
        "config.toml:1: `bf16` has no effect here: trainable weights and optimizer state are always float32; \
         remove it",
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
        "--dtype bfloat16",
        "`--dtype` cannot be `bfloat16`: trainable weights are always float32; files in half precision are \
         converted on loading",
    );
    check(
        "--activation_offloading",
        "`--activation-offloading` has no effect here: `gradient_checkpointing` has no variants; to save more \
         memory lower `per_device_train_batch_size`; remove it",
    );
    check(
        "--report-to wandb",
        "--report-to: `wandb` needs a service and is not supported; `tensorboard` and metrics.jsonl are written \
         as files",
    );
    check("-x", "unexpected argument `-x`; options start with `--`, `--help` lists them");
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
            "`--pref-beta` is an older name; taken as `--beta`"
        ]
    );
    let (_dir, path) = file("model = \"m\"\ndataset = \"d\"\ncutoff_len = 9\n");
    let parsed = run(&format!("--config {}", path.display())).unwrap();
    assert_eq!(parsed.options.train.max_length, Some(9));
    assert!(
        parsed.notices[0].ends_with("config.toml:3: `cutoff_len` is an older name; taken as `max_length`")
    );
    assert_eq!(run("").unwrap().notices, Vec::<String>::new());
    // Its successor is no option of this program.
    assert!(error("--ppo-epochs 4").starts_with("unknown option `--ppo-epochs`"));
}

#[test]
fn the_settings_give_the_same_options_again() {
    let words = "--beta .5 --learning-rate 1e-7 --report-to a,b --output-dir out --overwrite-output-dir --device cuda:1 \
                 --add-bos-token=no --model we\"ird\\name --dataset d --dry-run";
    let first = run(words).unwrap();
    let (_dir, path) = file(&first.settings);
    let again = run(&format!("--config {}", path.display())).unwrap();
    assert_eq!(again.settings, first.settings);
    assert!(first.settings.contains("\nlearning_rate = 1e-7\nbeta = 0.5\n"), "{}", first.settings);
    assert_eq!(format!("{:?}", again.options.train), format!("{:?}", first.options.train));
    assert_eq!(again.options.common.model_name_or_path, "we\"ird\\name");
    assert_eq!(again.options.common.device, DeviceChoice::Cuda(1));
    let output = &again.options.output;
    assert!(output.output_dir.is_none() && !output.overwrite_output_dir && !output.dry_run);
    assert!(first.options.output.dry_run);
    assert_eq!(first.options.output.output_dir.as_deref(), Some(Path::new("out")));
}

#[test]
fn given_is_what_a_flag_or_a_file_changes() {
    let given = |words: &str| run(words).unwrap().given.into_iter().collect::<Vec<_>>();
    assert_eq!(given(""), Vec::<String>::new(), "the recipe is not the user's choice");
    assert_eq!(given("--beta 0.1 --load-best-model-at-end false"), Vec::<String>::new(), "the defaults");
    assert_eq!(given("--pref_beta 0.2 --learning_rate 3e-4"), ["beta", "learning_rate"]);
    let (_dir, path) = file("model = \"m\"\ndataset = \"d\"\nbeta = 0.1\nreport_to = [\"a\"]\n");
    let given = given(&format!("--config {} --max-length 5", path.display()));
    assert_eq!(given, ["config", "dataset_name", "max_length", "model_name_or_path", "report_to"]);
}

#[test]
fn options_that_need_or_exclude_each_other_may_stand_in_different_layers() {
    #[derive(Debug, clap::Args)]
    struct Pair {
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(long, requires = "b")]
        a: Option<u32>,
        #[arg(long, conflicts_with = "c")]
        b: Option<u32>,
        #[arg(long)]
        c: Option<u32>,
    }
    let program = Program { recipe: None, ..PROGRAM };
    let (_dir, path) = file("a = 1\n");
    let config = format!("--config={}", path.display());
    let run = |words: &[&str]| parse::<Pair>(&program, ["x", &config].iter().chain(words));
    assert_eq!(run(&["--b=2"]).unwrap().options.b, Some(2));
    assert_eq!(run(&[]).unwrap_err().to_string(), "`--b` is required; give it here or in a `--config` file");
    let error = run(&["--b=2", "--c=3"]).unwrap_err().to_string();
    assert_eq!(error, "`--b` and `--c` exclude each other; keep one");
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
        ("batch_size = 18446744073709551615", "1: `batch_size` is out of range: "),
        ("beta = nan", "1: `beta` cannot be `nan`: expected a number from -3.4028e38 to 3.4028e38"),
        ("beta = -inf", "1: `beta` cannot be `-inf`: expected a number from -3.4028e38 to 3.4028e38"),
    ] {
        let (_dir, path) = file(line);
        let error = refused(&format!("--config={}", path.display()));
        assert!(error.contains(&format!("{}:{end}", path.display())), "{error}");
    }
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

#[test]
fn a_broken_recipe_names_itself() {
    let program = Program { recipe: Some("bet = 1"), ..PROGRAM };
    let error = parse::<Demo>(&program, ["train-demo"]).unwrap_err();
    assert_eq!(error.to_string(), "built-in recipe:1: unknown key `bet`; did you mean `beta`?");
}
