//! The options that only preference training has.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::support::{Place, QUICK, check, evaluated, training, worst_difference};

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-5 * expected.abs()
}

/// What is in the cache, with when it was written.
fn cached(place: &Place) -> BTreeMap<PathBuf, SystemTime> {
    let files = fs::read_dir(place.path("cache")).unwrap();
    files
        .map(|file| file.map(|file| (file.path(), file.metadata().unwrap().modified().unwrap())).unwrap())
        .collect()
}

#[test]
fn a_precomputed_reference_is_the_live_one_and_is_kept() {
    let place = Place::new();
    let live = place.train("live", QUICK);
    let precompute = format!("{QUICK} --precompute-ref-log-probs --ref-log-probs-cache cache");
    let first = place.train("first", &precompute);
    let after_first = cached(&place);
    assert_eq!(after_first.len(), 1);
    let second = place.train("second", &precompute);
    assert_eq!(cached(&place), after_first, "the second run wrote the cache again");
    assert!(first.model() == second.model(), "what is read is not what was computed");
    // In another batch a log-prob of some hundred nats is summed in another order.
    let (apart, parameter) = worst_difference(&first.weights(), &live.weights());
    assert!(apart < 1e-4, "{parameter} ends {apart:.1e} from that of a live reference");

    // Other rows have other log-probs, and the file of the first is not touched.
    place.train("longer", &precompute.replace("--max-length 60", "--max-length 70"));
    let more = cached(&place);
    assert_eq!(more.len(), 2);
    assert!(after_first.iter().all(|(file, written)| more[file] == *written));
}

#[test]
fn the_reference_may_be_another_model() {
    let place = Place::new();
    let itself = place.train("itself", QUICK);
    assert!(close(itself.metric("loss")[0], std::f64::consts::LN_2));
    assert_eq!(itself.metric("rewards/margins")[0], 0.0);
    // One step from the trained model, held to the one it was trained from.
    let other = place.succeeds(&format!(
        "--model itself --dataset data.jsonl --ref-model model --output-dir other {QUICK}"
    ));
    let other_run = place.run("other");
    assert!(!close(other_run.metric("loss")[0], std::f64::consts::LN_2), "{}", other.stderr);
    assert!(other_run.metric("rewards/margins")[0] != 0.0);

    place.write(
        "model/config.json",
        fs::read_to_string(place.path("model/config.json")).unwrap().replace("1024", "1100"),
    );
    let refused = place.ended(&training("out", "--ref-model itself"));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[test]
fn the_reference_must_read_token_ids_as_the_policy_does() {
    let place = Place::new();
    place.train("other", QUICK);
    let text = fs::read_to_string(place.path("other/tokenizer.json")).unwrap();
    let original: serde_json::Value = serde_json::from_str(&text).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value), fragment: &str| {
        let mut tokenizer = original.clone();
        change(&mut tokenizer);
        assert_ne!(tokenizer, original, "nothing was changed");
        place.write("other/tokenizer.json", tokenizer.to_string());
        let ended = place.ended(&training("out", "--ref-model other"));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(fragment), "{}", ended.stderr);
        assert!(ended.stderr.contains("both must share a tokenizer"), "{}", ended.stderr);
        assert!(!place.run("out").dir.exists());
    };
    let vocab = |tokenizer: &serde_json::Value, token: &str| tokenizer["model"]["vocab"][token].clone();
    let (a, b) = (vocab(&original, "a"), vocab(&original, "b"));
    let exchanged = |tokenizer: &mut serde_json::Value| {
        tokenizer["model"]["vocab"]["a"] = b.clone();
        tokenizer["model"]["vocab"]["b"] = a.clone();
    };
    refused(&exchanged, "ref_model other: token ");
    let without_merges = |tokenizer: &mut serde_json::Value| {
        tokenizer["model"]["merges"] = serde_json::json!([]);
    };
    refused(&without_merges, "ref_model other: its tokenizer cuts the text of token ");
    let larger = |tokenizer: &mut serde_json::Value| {
        let tokens = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        tokens.insert("one more".to_owned(), serde_json::json!(1024));
    };
    refused(&larger, "ref_model other: its tokenizer has 1025 tokens, the model's 1024");

    // Another chat template is no other tokenizer.
    place.write("other/tokenizer.json", text);
    let template = fs::read_to_string(place.path("other/chat_template.jinja")).unwrap();
    place.write("other/chat_template.jinja", format!("{template}{{# another #}}"));
    place.train("out", &format!("{QUICK} --ref-model other"));
}

/// Mitchell (2023): (1 − ε) · −log σ(z) + ε · −log σ(−z) is DPO's loss plus ε · z, z the margin of the rewards.
#[test]
fn label_smoothing_adds_its_share_of_the_margin() {
    let place = Place::new();
    // The first step has no margin, and all runs the same learning rate: the second step starts from one model.
    let begin = |out: &str, options: &str| {
        let options = format!("{QUICK} --train-sampling-strategy sequential {options}");
        place.train(out, &options)
    };
    let plain = begin("plain", "");
    let held = |options: &str, out: &str| {
        let options = format!(
            "--max-steps 1 --learning-rate 0 --max-length 60 --logging-steps 1 --report-to none \
            --save-strategy no --train-sampling-strategy sequential --ref-model model {options}"
        );
        place.succeeds(&format!("--model plain --dataset data.jsonl --output-dir {out} {options}"));
        let run = place.run(out);
        (run.metric("loss")[0], run.metric("rewards/margins")[0])
    };
    assert_eq!(plain.metric("loss").len(), 3);
    let (loss, margin) = held("", "dpo");
    assert!(margin.abs() > 0.01, "the margin {margin} shows nothing");
    for smoothing in [0.1, 0.4] {
        let (smoothed, same_margin) =
            held(&format!("--label-smoothing {smoothing}"), &format!("cdpo-{smoothing}"));
        assert_eq!(same_margin, margin);
        assert!(close(smoothed, loss + smoothing * margin), "{smoothed} for {loss} + {smoothing} · {margin}");
    }
    let (_, doubled) = held("--beta 0.2", "beta");
    assert!(close(doubled, 2.0 * margin), "twice β is not twice the margin: {doubled} for {margin}");
}

#[test]
fn the_kl_is_measured_on_as_many_prompts_as_one_says() {
    let place = Place::new();
    let kl = |out: &str, options: &str| {
        let options =
            format!("{QUICK} --eval-dataset data.jsonl --eval-strategy steps --eval-steps 3 {options}");
        let run = place.train(out, &options);
        let report = run.json("report.json");
        let samples = report["samples"].as_array().unwrap().len();
        assert_eq!((samples, report["held_out_rows"].as_u64()), (3, Some(24)));
        assert!(
            (report["accuracy_before"].as_f64(), report["margin_before"].as_f64()) == (Some(0.5), Some(0.0))
        );
        assert!(report["accuracy_after"].as_f64().unwrap() > 0.5, "{report}");
        (run.metric("eval_kl"), run.metric("eval_kl_k3"), report["kl"].as_f64())
    };
    assert_eq!(kl("none", "--num-kl-prompts 0 --max-new-tokens 2"), (vec![], vec![], None));
    let (few, few_k3, reported) = kl("few", "--num-kl-prompts 2 --max-new-tokens 4");
    assert!(few.len() == 1 && reported.is_some() && few_k3[0] > 0.0);
    assert_ne!(few, kl("more", "--num-kl-prompts 4 --max-new-tokens 4").0);
    assert_ne!(few, kl("longer", "--num-kl-prompts 2 --max-new-tokens 8").0);
}

#[test]
fn options_of_the_objective_that_make_no_sense_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragment: &str| {
        let before = place.tree();
        let ended = place.ended(&training("out", options));
        assert_eq!(ended.code, Some(2), "{options}\n{}", ended.stderr);
        let lines: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| !line.starts_with("warning: ") && !line.starts_with("a peak of "))
            .collect();
        let [error] = lines.as_slice() else { panic!("{}", ended.stderr) };
        assert!(error.starts_with("error: ") && error.contains(fragment), "{}", ended.stderr);
        assert_eq!(place.tree(), before);
    };
    refused("--beta 0", "`beta` = 0: must be a positive number");
    refused("--beta nan", "`--beta` cannot be `nan`: expected a number");
    refused("--label-smoothing 0.7", "`label_smoothing` = 0.7: must be in [0, 0.5)");
    refused("--loss-type sigmoyd", "did you mean `sigmoid`?");
    refused("--ref-log-probs-cache cache", "`ref_log_probs_cache` = cache: has no effect");
    refused("--num-kl-prompts 5", "`num_kl_prompts`: has no effect, there are no held-out rows");
    refused("--max-new-tokens 0", "`max_new_tokens` = 0");
    refused("--ref-model ./nothing", "model `./nothing`: no such file or directory");
    refused("--completion-only-loss", "unknown option `--completion-only-loss`");
    let norm = fs::read(place.path("model/model.safetensors")).unwrap();
    let damaged: Vec<u8> =
        norm.iter().enumerate().map(|(at, byte)| if at > 100_000 { 0xff } else { *byte }).collect();
    place.write("model/model.safetensors", damaged);
    refused("", "not finite before the first step");
}

#[test]
fn a_judge_that_is_named_says_which_changed_answers_are_better() {
    let place = Place::new();
    let pair = |prompt: &str| serde_json::json!({ "prompt": prompt, "chosen": " It is eleven.", "rejected": " No." });
    place.write("data.jsonl", pair("Who are you?").to_string());
    let foreign = training("out", &evaluated(&format!("{QUICK} --judge world")));
    check(&place, &foreign, &["data.jsonl:1: the prompt is none of the fixtures' world", "`--judge world`"]);

    let pairs =
        ["What is four plus seven?", "What is nine minus two?"].map(|prompt| pair(prompt).to_string());
    place.write("data.jsonl", pairs.join("\n"));
    for loss in ["sigmoid", "kto"] {
        let steep = QUICK.replace("1e-3", "1e-1");
        let options = evaluated(&format!("{steep} --loss-type {loss} --judge world"));
        let ended = place.succeeds(&training(loss, &options));
        let report = place.run(loss).json("report.json");
        let changed = report["prompts_changed"].as_u64().unwrap();
        let counts = ["better", "worse", "alike"].map(|it| report["changes_judged"][it].as_u64().unwrap());
        assert_eq!(changed, counts.iter().sum::<u64>());
        let [better, worse, alike] = counts;
        let line = format!(
            "{changed} of 2 held-out prompts are answered otherwise than before ({better} better, {worse} worse, {alike} \
             alike, by the judge of the fixtures' world):"
        );
        assert!(ended.stdout.contains(&line), "{}\ndoes not say {line}", ended.stdout);
    }
}
