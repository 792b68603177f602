//! The options that only reward models have, what is saved, and what is reported.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Place, QUICK, RUNS, check, evaluated, training};

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-5 * expected.abs()
}

/// The loss before the first update.
fn first_loss(place: &Place, out: &str, options: &str) -> f64 {
    let options = format!("{QUICK} --train-sampling-strategy sequential {options}");
    place.train(out, &options).metric("loss")[0]
}

/// The rows of the data file, changed.
fn rewrite(place: &Place, change: impl Fn(usize, &mut Value)) {
    let text = fs::read_to_string(place.path("data.jsonl")).unwrap();
    let rows = text.lines().enumerate().map(|(number, line)| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        change(number, &mut row);
        format!("{row}\n")
    });
    place.write("data.jsonl", rows.collect::<String>());
}

fn with_lists(place: &Place) {
    rewrite(place, |_, row| {
        let better = row["chosen"].as_str().unwrap().to_owned();
        row["completions"] = json!([better, row["rejected"], format!("{better}{better}")]);
        for column in ["chosen", "rejected"] {
            row.as_object_mut().unwrap().remove(column);
        }
    });
}

#[test]
fn a_frozen_backbone_stays_and_its_features_are_those_of_every_pass() {
    let place = Place::new();
    let whole = place.train("whole", QUICK);
    let frozen = place.train("frozen", &format!("{QUICK} --freeze-backbone"));
    let start = place.train("start", &QUICK.replace("1e-3", "0"));
    assert!(close(frozen.metric("loss")[0], whole.metric("loss")[0]), "the first losses differ");
    let (frozen, start, whole) = (frozen.weights(), start.weights(), whole.weights());
    for (name, values) in &frozen {
        let changed = *values != start[name];
        assert_eq!(changed, name == "score.weight", "{name}");
        assert!(whole[name] != start[name], "{name} is not trained");
    }
    let held_out = evaluated(&format!("{QUICK} --freeze-backbone --eval-strategy epoch"));
    let report = place.train("held-out", &held_out).json("report.json");
    assert_eq!(report["held_out_pairs"], 24);
    assert_eq!(report["reload_difference"].as_f64().unwrap().max(1e-5), 1e-5);
}

#[test]
fn an_mlp_head_is_saved_and_trained_on() {
    let place = Place::new();
    let first = place.train("first", &format!("{QUICK} --head mlp"));
    assert_eq!(first.weights()["score.out.weight"].len(), 256);
    assert_eq!(first.json("config.json")["reward_head"], json!({ "type": "mlp", "hidden_size": 256 }));
    let narrow = place.train("narrow", &format!("{QUICK} --head mlp --head-hidden-size 8"));
    assert_eq!(narrow.weights()["score.bias"].len(), 8);

    let on = |out: &str, options: &str| {
        format!("--model narrow --dataset data.jsonl --output-dir {out} {options}")
    };
    place.succeeds(&on("second", QUICK));
    assert_eq!(place.run("second").weights()["score.bias"].len(), 8);
    check(
        &place,
        &on("out", "--head linear"),
        &["narrow: has an mlp head of hidden size 8, expected a linear head"],
    );
    check(&place, &on("out", "--head mlp"), &["of hidden size 8, expected an mlp head of hidden size 256"]);
    let cut = fs::read_to_string(place.path("narrow/config.json")).unwrap().replace(": 8\n", ": 9\n");
    place.write("narrow/config.json", cut);
    check(&place, &on("out", ""), &["`score.weight`: expected shape [9, 32] by config.json, found [8, 32]"]);
}

#[test]
fn margins_and_centring_add_to_the_loss() {
    let place = Place::new();
    let plain = first_loss(&place, "plain", "");
    let centred =
        |out: &str, weight: f64| first_loss(&place, out, &format!("--center-rewards-coefficient {weight}"));
    let (one, two) = (centred("one", 0.1) - plain, centred("two", 0.2) - plain);
    assert!(one > 1e-6 && (two / one - 2.0).abs() < 1e-2, "{one}, {two}");
    let with_margin = |margin: f64| {
        rewrite(&place, |_, row| row["margin"] = margin.into());
        first_loss(&place, &format!("margin-{margin}"), "")
    };
    assert!(close(with_margin(0.0), plain));
    assert!(with_margin(1.0) > plain + 0.3);
}

#[test]
fn the_likelihood_of_the_best_answers_adds_to_the_loss() {
    let place = Place::new();
    let plain = first_loss(&place, "plain", "");
    let added =
        |out: &str, weight: f64| first_loss(&place, out, &format!("--sft-coefficient {weight}")) - plain;
    let (one, two) = (added("one", 0.1), added("two", 0.2));
    let nll = place.run("one").metric("nll_loss");
    assert!((one - 0.1 * nll[0]).abs() < 1e-4 && (two - 0.2 * nll[0]).abs() < 1e-4, "{one}, {two}, {nll:?}");
    // The model knows nothing: each of its tokens is about as likely as another.
    let tokens = place.run("model").json("config.json")["vocab_size"].as_f64().unwrap();
    assert!((nll[0] - tokens.ln()).abs() < 0.3, "{} of {tokens} tokens", nll[0]);

    let longer = QUICK.replace("--max-steps 3 --learning-rate 1e-3", "--max-steps 20 --learning-rate 3e-3");
    let last = |out: &str, weight: f64| {
        let run = place.train(out, &format!("{longer} --sft-coefficient {weight}"));
        *run.metric("nll_loss").last().unwrap()
    };
    let (little, much) = (last("little", 1e-6), last("much", 1.0));
    assert!(much < little - 0.3, "{much}, {little}");
    with_lists(&place);
    let of_lists = place.train("lists", &format!("{QUICK} --sft-coefficient 1"));
    assert!(of_lists.metric("nll_loss")[0] > 1.0);
}

#[test]
fn lists_are_ranked_by_pairs_or_as_a_whole() {
    let place = Place::new();
    let plain = first_loss(&place, "plain", "");
    with_lists(&place);
    let pairwise = first_loss(&place, "pairwise", "");
    assert!(close(first_loss(&place, "said", "--ranking-loss pairwise"), pairwise));
    let whole = first_loss(&place, "whole", "--ranking-loss plackett_luce");
    // Three answers in no order are ranked right with 1/6, two with 1/2; the head starts near none.
    assert!((pairwise - 2f64.ln()).abs() < 0.2 && (whole - 6f64.ln()).abs() < 0.4, "{pairwise}, {whole}");
    assert!((plain - 2f64.ln()).abs() < 0.2);
    let shown = place.succeeds(&training("out", "--inspect --per-device-train-batch-size 1")).stdout;
    assert!(["rank 1 (", "rank 2 (", "rank 3 ("].iter().all(|rank| shown.contains(rank)), "{shown}");
}

#[test]
fn the_report_says_how_far_to_trust_the_model() {
    let place = Place::new();
    rewrite(&place, |number, row| row["kind"] = if number % 3 == 0 { "web" } else { "book" }.into());
    let options = evaluated(&format!("{QUICK} --eval-strategy epoch --source-column kind"));
    let ended = place.succeeds(&training("out", &options));
    let run = place.run("out");
    let report = run.json("report.json");
    let number =
        |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path}"));
    let accuracy = number("/accuracy");
    assert!(number("/accuracy_ci95/0") <= accuracy && accuracy <= number("/accuracy_ci95/1"));
    assert!(close(number("/baselines/longer") + number("/baselines/shorter"), 1.0));
    assert!(number("/baselines/majority") >= 0.5);
    assert_eq!(number("/accuracy_by_source/web/pairs") + number("/accuracy_by_source/book/pairs"), 24.0);
    for path in ["/ece", "/ece_if_calibrated", "/ece_p_value", "/ece_after_temperature", "/brier"] {
        assert!((0.0..=1.0).contains(&number(path)), "{path}");
    }
    assert!(number("/temperature") > 0.0 && number("/train_seconds") > 0.0);
    let bins = report["reliability"].as_array().unwrap();
    assert_eq!(bins.iter().map(|bin| bin["pairs"].as_u64().unwrap()).sum::<u64>(), 24);
    assert_eq!(run.metric("eval_accuracy").last(), Some(&accuracy));
    let normalization = run.json("reward_normalization.json");
    assert_eq!((&normalization, &normalization["answers"]), (&report["normalization"], &json!(48)));
    assert!(report["normalized_on"] == "training" && ended.stdout.contains("on 48 training answers"));
    assert!((0.0..=1.0).contains(&number("/baselines/answers_only/accuracy")));
    assert_eq!(number("/baselines/answers_only/examples"), 24.0);
    assert!(ended.stdout.contains("answers alone  "), "{}", ended.stdout);
    // It is measured on what it was trained on, and says so.
    assert_eq!((number("/known_answers/rows"), number("/known_answers/known")), (24.0, 24.0));
    assert!(
        ended.stderr.contains("100.0 % of the held-out rows have an answer that stands"),
        "{}",
        ended.stderr
    );
    let wrong = report["failures"].as_array().unwrap();
    assert!(wrong.iter().all(|pair| pair["chosen_reward"].as_f64() < pair["rejected_reward"].as_f64()));
    for text in ["accuracy  ", "longer wins", "calibration error", "with length", "web  ", "book  "] {
        assert!(ended.stdout.contains(text), "{}", ended.stdout);
    }
    let quiet = place.train("quiet", QUICK).json("report.json");
    assert!(quiet.get("accuracy").is_none() && quiet["normalization"]["answers"] == 48);
    // Held-out rows have no part in it.
    assert_eq!(quiet["normalization"], report["normalization"]);
}

#[test]
fn a_few_pairs_are_learned_by_heart_or_the_run_fails() {
    let place = Place::new();
    let long = "--overfit-pairs 6 --max-steps 60 --learning-rate 3e-3 --max-length 60 --report-to none --save-strategy no";
    let report = place.train("learned", long).json("report.json");
    assert_eq!((&report["overfit"]["passed"], &report["overfit"]["pairs"]), (&json!(true), &json!(6)));
    assert_eq!(report["accuracy"], 1.0);
    let ended =
        place.ended(&training("unlearned", &format!("{QUICK} --overfit-pairs 24").replace("1e-3", "0")));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("overfit_pairs: the 24 pairs trained on were not learned"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.run("unlearned").json("report.json")["overfit"]["passed"], false);
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let refused = |options: &str, fragment: &str, change: &dyn Fn(&Place)| {
        let place = Place::new();
        change(&place);
        check(&place, &training("out", options), &[fragment]);
    };
    let none = |_: &Place| {};
    refused("--head-hidden-size 8", "`head_hidden_size` = 8: has no effect without `--head mlp`", &none);
    refused("--head mlp --head-hidden-size 0", "`head_hidden_size` = 0: must be at least 1", &none);
    refused("--center-rewards-coefficient -1", "`center_rewards_coefficient` = -1", &none);
    refused("--sft-coefficient NaN", "`--sft-coefficient` cannot be `NaN`: expected a number", &none);
    let frozen = "--freeze-backbone --sft-coefficient 0.1";
    refused(frozen, "`sft_coefficient` = 0.1: has no effect with `--freeze-backbone`, which", &none);
    let frozen = "--freeze-backbone --gradient-checkpointing";
    refused(frozen, "`gradient_checkpointing`: has no effect, `freeze_backbone` computes", &none);
    refused(
        &evaluated("--source-column kimd"),
        "`source_column`: has no effect, no held-out row has such a column",
        &none,
    );
    refused(
        "--sft-coefficient 0.1",
        "`sft_coefficient` = 0.1: needs a model with tied embeddings",
        &|place| {
            place.start_from(&Path::new(RUNS).join("model-reward"));
            let path = place.path("model/config.json");
            let tied = fs::read_to_string(&path).unwrap();
            let untied = tied.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
            fs::write(path, untied).unwrap();
        },
    );
    refused("--overfit-pairs 0", "`overfit_pairs` = 0: must be at least 1", &none);
    refused("--ranking-loss plackett_luce", "no row ranks more than two answers", &none);
    refused("--source-column kind", "`source_column`: has no effect", &none);
    refused("", "`margin`: expected a number, found the string `NaN`", &|place| {
        rewrite(place, |_, row| row["margin"] = "NaN".into());
    });
    refused("", "data.jsonl:3: `margin`: expected a number, as in data.jsonl:1", &|place| {
        rewrite(place, |number, row| row["margin"] = if number == 2 { Value::Null } else { 1.into() });
    });
    refused("", "data.jsonl:1: `completions`: expected at least two answers", &|place| {
        rewrite(place, |_, row| *row = json!({ "prompt": "Hello.", "completions": [" one"] }));
    });
    refused(
        "",
        "all rewards would be equal: none of the 24 training rows has two answers that differ",
        &|place| {
            rewrite(place, |_, row| row["rejected"] = row["chosen"].clone());
        },
    );
    refused("", "all rewards are equal: the model gives 0 to each of the first 16 answers", &|place| {
        place.start_from(&Path::new(RUNS).join("model-reward"));
        zero_head(place);
    });
    refused("", "is a classifier of 2 labels; a reward model has one", &|place| {
        place.start_from(&Path::new(RUNS).join("model-reward"));
        let path = place.path("model/config.json");
        let config =
            fs::read_to_string(&path).unwrap().replace("\"0\": \"LABEL_0\"", "\"0\": \"a\", \"1\": \"b\"");
        fs::write(path, config).unwrap();
    });
}

/// Makes the head of the model all zeros.
fn zero_head(place: &Place) {
    let path = place.path("model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..header]).unwrap();
    let place = |at: usize| header + json["score.weight"]["data_offsets"][at].as_u64().unwrap() as usize;
    bytes[place(0)..place(1)].fill(0);
    fs::write(path, bytes).unwrap();
}
