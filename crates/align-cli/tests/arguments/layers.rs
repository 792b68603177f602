//! Recipe, config file and command line over one another.

use super::*;

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
    let bundled = Program::new("x", "").with_recipe("model_name_or_path = \"m\"").recipe;
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
    assert!(output.output_dir.is_none() && !output.overwrite_output_dir && !again.options.look.dry_run);
    assert!(first.options.look.dry_run);
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
