//! The options that only supervised fine-tuning has.

use std::fs;

use crate::support::{Place, QUICK, check, training};

#[test]
fn the_prompt_is_learned_where_one_says_so() {
    let place = Place::new();
    let learned = |options: &str| {
        let shown = place.succeeds(&training("out", &format!("--inspect {options}"))).stdout;
        let parts = |name| shown.lines().filter(|line| line.trim_start().starts_with(name)).count();
        (parts("context ("), parts("learned ("))
    };
    assert_eq!(learned(""), (8, 8), "a context and a learned part in each of 8 rows");
    assert_eq!(learned("--completion-only-loss"), (8, 8));
    assert_eq!(learned("--completion-only-loss false"), (0, 8));
}

/// Conversations of two questions and answers.
fn conversations() -> String {
    let row = |number: usize| {
        let turn = |role: &str, text: String| serde_json::json!({ "role": role, "content": text });
        let messages = [
            turn("system", "Be kind.".to_owned()),
            turn("user", format!("Hello, I am number {number}.")),
            turn("assistant", "Hello.".to_owned()),
            turn("user", "Who are you?".to_owned()),
            turn("assistant", format!("Not number {number}.")),
        ];
        format!("{}\n", serde_json::json!({ "messages": messages }))
    };
    (0..8).map(row).collect()
}

#[test]
fn of_a_conversation_the_assistants_turns_are_learned() {
    let place = Place::new();
    place.write("data.jsonl", conversations());
    let learned = |options: &str| {
        let shown = place.succeeds(&training("out", &format!("--inspect {options}"))).stdout;
        let parts = |name| shown.lines().filter(|line| line.trim_start().starts_with(name)).count();
        (parts("context ("), parts("learned ("))
    };
    assert_eq!(learned(""), (16, 16));
    assert_eq!(learned("--assistant-only-loss"), (16, 16));
    assert_eq!(learned("--last-turn-only"), (8, 8));
    assert_eq!(learned("--assistant-only-loss false"), (0, 8));
    let shown = place.succeeds(&training("out", "--dry-run")).stdout;
    let said = "of 8 conversations the assistant's turns are learned, told apart by rendering turn by turn (assistant_only_loss)";
    assert!(shown.contains(said), "{shown}");
    let ended = place.ended(&training("out", "--last-turn-only --assistant-only-loss false"));
    assert!(ended.code == Some(2) && ended.stderr.contains("last_turn_only"), "{}", ended.stderr);
}

#[test]
fn reasoning_is_learned_or_left_out() {
    let place = Place::new();
    let turn = |role: &str, text: &str| serde_json::json!({ "role": role, "content": text });
    let messages = [
        turn("user", "Hello."),
        turn("assistant", "<think>Be kind.</think>Hello."),
        turn("user", "Who are you?"),
        turn("assistant", "<think>Be kind again.</think>Nobody."),
    ];
    place.write("data.jsonl", format!("{}\n", serde_json::json!({ "messages": messages })).repeat(8));
    let shown = |options: &str| place.succeeds(&training("out", &format!("--inspect {options}"))).stdout;
    let each_turn = shown("--train-on-reasoning");
    let parts = each_turn.lines().filter(|line| line.trim_start().starts_with("learned ("));
    assert_eq!(parts.count(), 8, "a row has one turn that is learned");
    assert!(!shown("--train-on-reasoning false").contains("Be kind"));
    let ended = place.ended(&training("out", "--train-on-reasoning --assistant-only-loss false"));
    assert!(ended.code == Some(2) && ended.stderr.contains("train_on_reasoning"), "{}", ended.stderr);
}

#[test]
fn a_chat_template_of_ones_own_is_used_and_saved() {
    let place = Place::new();
    place.write("data.jsonl", conversations());
    let template = "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}{{ m.content }}\
                    {{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    place.write("own.jinja", template);
    std::fs::create_dir(place.path("other")).unwrap();
    place.write("other/chat_template.jinja", template);
    for (out, from) in [("a", "own.jinja"), ("b", "other")] {
        let options = format!("{QUICK} --chat-template-path {from}");
        let shown = place.succeeds(&training(out, &options)).stdout;
        assert!(shown.contains("as the chat template marks them"), "{shown}");
        let saved = std::fs::read_to_string(place.path(out).join("chat_template.jinja")).unwrap();
        assert_eq!(saved, template);
    }
    let ended = place.ended(&training("out", "--chat-template-path data.jsonl"));
    assert!(ended.code == Some(2) && ended.stderr.contains("data.jsonl"), "{}", ended.stderr);
}

#[test]
fn a_model_from_scratch_depends_on_the_seed_alone() {
    let place = Place::new();
    // A learning rate of nothing leaves the weights as they begin.
    let begin = |out: &str, options: &str| {
        let options =
            format!("--max-steps 1 --learning-rate 0 --save-strategy no --report-to none {options}");
        place.train(out, &options)
    };
    let loaded = begin("loaded", "");
    let original = place.run("model");
    assert_eq!(loaded.weights(), original.weights(), "nothing was learned, so nothing may have changed");
    let scratch = begin("scratch", "--from-scratch");
    assert_ne!(scratch.weights(), original.weights());
    fs::remove_file(place.path("model/model.safetensors")).unwrap();
    assert!(begin("again", "--from-scratch").model() == scratch.model());
    assert!(begin("other", "--from-scratch --seed 1").model() != scratch.model());
}

/// Dynamic fine-tuning weighs each token by its probability, which at the start of training is about 1 in the
/// size of the vocabulary.
#[test]
fn the_loss_is_the_one_that_is_named() {
    let place = Place::new();
    let loss = |out: &str, options: &str| place.train(out, &format!("{QUICK} {options}")).metric("loss");
    let (nll, dft) = (loss("nll", ""), loss("dft", "--loss-type dft"));
    assert!(dft[0] > 0.0 && dft[0] < 0.1 * nll[0], "{dft:?} {nll:?}");
    assert_eq!(loss("chunked", "--loss-type chunked_nll"), nll);
    let ended = place.ended(&training("out", "--loss-type dpo"));
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("dpo") && ended.stderr.contains("dft"), "{}", ended.stderr);
}

#[test]
fn smoothed_labels_are_learned_and_noise_is_heard_in_training_alone() {
    let place = Place::new();
    let held_out = "--eval-dataset data.jsonl --eval-strategy steps --eval-steps 3";
    let run = |out: &str, options: &str| place.train(out, &format!("{QUICK} {held_out} {options}"));
    let plain = run("plain", "");
    let smoothed = run("smoothed", "--label-smoothing-factor 0.2");
    assert!(smoothed.model() != plain.model());
    // What is measured is smoothed too.
    assert_ne!(smoothed.json("report.json")["loss_before"], plain.json("report.json")["loss_before"]);
    let noisy = run("noisy", "--neftune-noise-alpha 5");
    assert!(noisy.model() != plain.model());
    assert_eq!(noisy.json("report.json")["loss_before"], plain.json("report.json")["loss_before"]);
    assert!(run("again", "--neftune-noise-alpha 5").model() == noisy.model(), "noise is of the seed");
    assert!(run("louder", "--neftune-noise-alpha 15").model() != noisy.model());
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("--label-smoothing-factor 1", &["`--label-smoothing-factor`"]);
    refused("--neftune-noise-alpha 0", &["`neftune_noise_alpha`: must be above 0"]);
    refused("--loss-type dft --label-smoothing-factor 0.1", &["`label_smoothing_factor`: has no effect"]);
}

#[test]
fn noise_goes_on_where_it_was() {
    let place = Place::new();
    let options = "--neftune-noise-alpha 5 --use-peft --max-steps 4 --save-steps 2 --learning-rate 1e-3 --max-length 60 \
                   --report-to none";
    let whole = place.train("whole", options);
    let resumed = format!("{options} --resume-from-checkpoint whole/checkpoint-2");
    assert!(place.train("resumed", &resumed).model() == whole.model());
}
