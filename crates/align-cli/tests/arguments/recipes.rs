//! Recipes that were written for TRL and Axolotl.

use super::*;

const RECIPE: &str = "\
model_name_or_path: m
torch_dtype: null
attn_implementation: flash_attention_2
dataset_name: d
dataset_num_proc: 12
do_eval: true
gradient_checkpointing_kwargs:
  use_reentrant: false
hub_model_id: me/mine
hub_strategy: every_save
push_to_hub: true
learning_rate: 5.0e-7
max_seq_length: 1024
report_to:
- wandb
run_name: mine
";

#[test]
fn a_recipe_of_the_peer_says_all_that_it_cannot_have() {
    let (_dir, path) = file_called("recipe.yaml", RECIPE);
    let Err(ArgumentError::Several(problems)) = run(&format!("--config {}", path.display())) else {
        panic!("expected several")
    };
    let at = path.display();
    let expected = [
        format!(
            "{at}:11: `push_to_hub: true` has no effect here: nothing is uploaded; the output directory can be pushed with \
                 `hf upload`; remove it"
        ),
        format!(
            "{at}:14: `report_to`: `wandb` needs a service and is not supported; `tensorboard` and metrics.jsonl are \
                 written as files"
        ),
    ];
    assert_eq!(problems, expected);
}

#[test]
fn flags_go_before_lines_that_cannot_be_taken() {
    let (_dir, path) = file_called("recipe.yaml", RECIPE);
    for off in ["--push_to_hub=False", "--no-push-to-hub"] {
        let parsed = run(&format!("--config {} {off} --report_to tensorboard", path.display())).unwrap();
        let options = parsed.options.train;
        assert_eq!((options.learning_rate, options.max_length), (5e-7, Some(1024)));
        let notice = parsed.notices.last().unwrap();
        for line in [
            "line 3 `attn_implementation: flash_attention_2`: there is one attention",
            "line 6 `do_eval: true`: ",
            "line 9 `hub_model_id: me/mine`, line 10 `hub_strategy: every_save`: nothing is uploaded",
            "line 16 `run_name: mine`: ",
        ] {
            assert!(notice.contains(line), "{notice}");
        }
    }
}

#[test]
fn names_of_axolotl_are_taken_where_they_mean_the_same() {
    let (_dir, path) = file_called(
        "axolotl.yml",
        "base_model: m\ndataset: d\nsequence_len: 64\nnum_epochs: 2\noptimizer: adamw_8bit\nrl_beta: 0.2\n\
         adapter: qlora\n\
         flash_attention: true\nwandb_project:\nlora_model_dir:\nstrict: false\n",
    );
    let parsed = run(&format!("--config {}", path.display())).unwrap();
    let options = parsed.options.train;
    assert_eq!((options.max_length, options.num_train_epochs, options.beta), (Some(64), 2.0, 0.2));
    assert_eq!(options.optim.as_deref(), Some("adamw_8bit"));
    assert!(options.use_peft);
    assert!(parsed.notices[0].ends_with("`base_model` is Axolotl's name; taken as `model_name_or_path`"));
    let refused = error_in("axolotl.yml", "val_set_size: 0.05\n");
    assert!(refused.contains("held-out rows are named"), "{refused}");
}

#[test]
fn data_that_a_flag_names_goes_before_a_recipes_mixture() {
    let (_dir, path) =
        file_called("recipe.yaml", "model: m\ndataset_mixture:\n  a: 1.0\ndataset_splits: [train]\n");
    assert_eq!(ok(&format!("--dataset d --config {}", path.display())).dataset_name, "d");
    let Err(ArgumentError::Several(problems)) = run(&format!("--config {}", path.display())) else {
        panic!("expected several")
    };
    assert!(
        problems[0].contains("recipe.yaml:2: `dataset_mixture: {\"a\":1.0}` has no effect here"),
        "{problems:?}"
    );

    let (_dir, path) = file_called("recipe.yaml", "model: m\ndataset_mixer:\n  a.jsonl: 1.0\n  b: 5e-1\n");
    let options = ok(&format!("--dataset d --config {}", path.display()));
    assert_eq!((options.dataset_name.as_str(), options.dataset_mixer), ("d", None));
}

#[test]
fn a_pasted_command_is_treated_as_a_file_is() {
    let parsed = run(
        "--run_name x --logging_dir logs --do_train --bf16 --attn_implementation sdpa --model m --dataset d",
    );
    let notices = parsed.unwrap().notices;
    assert!(
        notices[0].contains("`--run_name x`, `--logging_dir logs`: metrics are written into"),
        "{notices:?}"
    );
    assert!(error("--model m --dataset d --do_train false").contains("a training program trains"));
}

#[test]
fn a_file_of_nothing_but_mistakes_is_not_read_to_its_end() {
    let text: String = (0..40_000).map(|number| format!("k{number}: 1\n")).collect();
    let (_dir, path) = file_called("recipe.yaml", &text);
    let Err(ArgumentError::Several(problems)) = run(&format!("--config {}", path.display())) else {
        panic!("expected several")
    };
    assert_eq!((problems.len(), problems.last().unwrap().as_str()), (51, "and more"));
}

#[test]
fn a_template_that_a_flag_names_goes_before_a_recipes_own() {
    #[derive(Debug, clap::Args)]
    struct Sft {
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(long)]
        chat_template_path: Option<String>,
    }
    let (_dir, path) = file_called("recipe.yaml", "chat_template: \"{{ messages }}\"\n");
    let config = format!("--config={}", path.display());
    let program = Program { recipe: None, ..PROGRAM };
    let of = |words: &[&str]| parse::<Sft>(&program, ["x", &config].iter().chain(words));
    assert_eq!(of(&["--chat-template-path=t"]).unwrap().options.chat_template_path.as_deref(), Some("t"));
    assert!(of(&[]).unwrap_err().to_string().contains("a template is a file, `chat_template_path`"));
}
