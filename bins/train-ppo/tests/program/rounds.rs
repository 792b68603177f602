//! Phases of the loop: what the first one must show, and what a run leaves.

use std::fs;

use crate::stage::QUICK;
use crate::support::{Place, Run, training};

fn run(place: &Place, out: &str, options: &str) -> Run {
    place.train(out, &format!("{QUICK} {options}"))
}

#[test]
fn the_policy_starts_as_the_one_that_sampled_and_as_its_reference() {
    let place = Place::new();
    // One update a phase: what it trains on was sampled by the very weights that it starts from.
    for (at, options) in ["", "--temperature 0.7", "--value-model head"].into_iter().enumerate() {
        let options = format!(
            "--reward-funcs length:1..30 --max-new-tokens 12 --per-device-train-batch-size 8 --num-ppo-epochs 1 \
             --learning-rate 1e-3 --logging-steps 1 --report-to none --save-strategy no --max-steps 3 {options}"
        );
        let run = place.train(&format!("out-{at}"), &options);
        let ratios = run.metric("val/ratio");
        assert_eq!(ratios.len(), 3);
        assert!(ratios.iter().all(|ratio| (ratio - 1.0).abs() < 1e-4), "{options}: {ratios:?}");
        assert!(run.metric("policy/approxkl_avg").iter().all(|kl| *kl < 1e-8), "{options}");
        let kl = run.metric("objective/kl");
        assert!(kl[0].abs() < 1e-4 && kl[2].abs() > 1e-4, "{options}: {kl:?}");
    }
}

#[test]
fn a_run_leaves_its_model_its_samples_and_its_figures() {
    let place = Place::new();
    let run =
        run(&place, "out", "--max-steps 8 --save-strategy no --eval-dataset data.jsonl --num-eval-prompts 6");
    let report = run.json("report.json");
    assert_eq!((report["kind"].as_str(), report["method"].as_str()), (Some("ppo"), Some("ppo")));
    assert_eq!((report["steps"].as_u64(), report["held_out_prompts"].as_u64()), (Some(8), Some(6)));
    assert_eq!(report["kl_over_time"].as_array().unwrap().len(), 2, "one for each phase");
    assert_eq!(report["win_rate"]["measure"], "score");
    // Four answers to each prompt, each beside the four of the model as it started.
    assert_eq!(report["held_out_sampling"]["num_generations"], 4);
    assert_eq!(report["win_rate"]["comparisons"], 6 * 16);
    let (kl, [low, high]) = (&report["kl"], [0, 1].map(|end| report["kl_ci95"][end].as_f64().unwrap()));
    assert!(low < kl.as_f64().unwrap() && kl.as_f64().unwrap() < high, "{kl} [{low}, {high}]");
    let samples = fs::read_to_string(run.dir.join("samples.jsonl")).unwrap();
    let samples: Vec<serde_json::Value> =
        samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(samples.len(), 16, "eight for each phase");
    let sum: f64 = samples[8..].iter().map(|sample| sample["score"].as_f64().unwrap()).sum();
    assert!((sum / 8.0 - run.metric("objective/scores")[1]).abs() < 1e-9);
    assert_eq!(samples[8]["step"], 4);
    assert!(samples[0]["origin"].as_str().unwrap().contains("data.jsonl:"));
    for name in [
        "objective/kl",
        "objective/entropy",
        "objective/non_score_reward",
        "objective/rlhf_reward",
        "objective/kl_coef",
        "policy/clipfrac_avg",
        "policy/entropy_avg",
        "loss/policy_avg",
        "loss/value_avg",
        "val/clipfrac_avg",
        "val/explained_variance",
        "val/ratio_var",
        "val/num_eos_tokens",
        "completions/mean_length",
        "episode",
        "rewards/length/mean",
        "time/generation",
        "time/scoring",
        "time/update",
    ] {
        assert_eq!(run.metric(name).len(), 2, "{name}");
    }
    assert_eq!(run.metric("episode"), [8.0, 16.0]);
    assert!(run.metric("loss/value_avg")[0] > 0.0);
}

#[test]
fn a_reward_that_can_be_had_is_had() {
    let place = Place::new();
    let options = "--save-strategy no --total-episodes 1600 --per-device-train-batch-size 16 --kl-coef 0 \
        --reward-funcs length:1..20 --learning-rate 3e-3 --max-new-tokens 8 --num-ppo-epochs 2 --num-mini-batches 2 \
        --report-to none --logging-steps 1";
    let run = place.train("out", options);
    let scores = run.metric("objective/scores");
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let (first, last) = (mean(&scores[..5]), mean(&scores[scores.len() - 5..]));
    assert!(last > first + 0.3, "{first} to {last}");
}

#[test]
fn a_phase_ends_early_when_the_policy_has_gone_far_enough() {
    let place = Place::new();
    let run = run(&place, "out", "--max-steps 12 --save-strategy no --early-stop-kl 1e-7");
    // The first update of a phase starts from the policy that sampled; the second finds that it has moved.
    assert_eq!(run.json("report.json")["steps"], 6, "two updates in each of three phases instead of four");
}

#[test]
fn how_a_mini_batch_is_cut_does_not_matter() {
    let place = Place::new();
    let with = |out: &str, options: &str| {
        let options = format!(
            "--reward-funcs length:1..30 --max-new-tokens 12 --num-ppo-epochs 2 --learning-rate 1e-3 --logging-steps 1 \
             --report-to none --save-strategy no --max-steps 4 {options}"
        );
        place.train(out, &options)
    };
    let whole = with("whole", "--per-device-train-batch-size 8");
    let cut = with("cut", "--per-device-train-batch-size 2 --gradient-accumulation-steps 4");
    let (found, expected) = (cut.metric("loss"), whole.metric("loss"));
    assert_eq!((found.len(), expected.len()), (2, 2), "one for each phase");
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
    }
}

#[test]
fn looking_writes_nothing() {
    let place = Place::new();
    let before = place.tree();
    let shown = place.succeeds(&training("out", &format!("{QUICK} --inspect"))).stdout;
    assert!(shown.contains("Question:"), "{shown}");
    let shown = place.succeeds(&training("out", &format!("{QUICK} --dry-run --total-episodes 40"))).stdout;
    assert!(shown.contains("20 steps would be made; nothing was written"), "{shown}");
    assert_eq!(place.tree(), before);
}

#[test]
fn the_rule_of_the_fixtures_world_judges_only_where_it_is_named() {
    let place = Place::new();
    let prompts = ["What is four plus seven?", "What is nine minus two?"];
    let row = |prompt| serde_json::json!({ "prompt": prompt }).to_string();
    place.write("data.jsonl", prompts.map(row).join("\n"));
    let report = |out: &str, options: &str| {
        let held_out = "--max-steps 4 --save-strategy no --eval-dataset data.jsonl --num-eval-prompts 2";
        run(&place, out, &format!("{held_out} {options}")).json("report.json")
    };
    let (unasked, asked) = (report("unasked", ""), report("asked", "--judge world"));
    assert_eq!((&unasked["win_rate"]["measure"], unasked.get("changes_judged")), (&"score".into(), None));
    assert_eq!(asked["win_rate"]["measure"], "world judge");
    let judged = &asked["changes_judged"];
    let counted: u64 = ["better", "worse", "alike"].iter().map(|it| judged[it].as_u64().unwrap()).sum();
    assert_eq!(Some(counted), asked["prompts_changed"].as_u64());
    assert_eq!(unasked["score_after"], asked["score_after"], "nobody trains on what the judge says");
}
