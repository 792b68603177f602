//! What methods carry from step to step: a reference that moves, running means, a cache; and that it does not
//! matter how a step is cut.

use std::fs;
use std::path::Path;

use crate::support::{Place, QUICK, RUNS, check, copy_dir, training, worst_difference};

fn place() -> Place {
    Place::from(Path::new(RUNS), "pairs_reference.jsonl")
}

#[test]
fn a_reference_that_becomes_the_policy_after_every_step_leaves_no_reward() {
    let place = place();
    let run = place.train(
        "always",
        &format!("{QUICK} --sync-ref-model --ref-model-sync-steps 1 --ref-model-mixup-alpha 1"),
    );
    for loss in run.metric("loss") {
        assert!((loss - std::f64::consts::LN_2).abs() < 1e-6, "{loss}");
    }
    assert_eq!(run.metric("rewards/margins"), [0.0; 3]);

    // Held-out rows are measured against the model as it started.
    let measured = place.train("measured", &format!(
        "{QUICK} --sync-ref-model --ref-model-sync-steps 1 --ref-model-mixup-alpha 1 --eval-dataset data.jsonl \
         --num-kl-prompts 2 --max-new-tokens 4"
    ));
    assert!(measured.json("report.json")["margin_after"].as_f64().unwrap() > 0.0);

    // After the first step half of it: rewards of the second step are about half of those against the start.
    let start = place.train("start", QUICK).metric("rewards/chosen");
    let mixed = format!("{QUICK} --sync-ref-model --ref-model-sync-steps 1 --ref-model-mixup-alpha 0.5");
    let mixed = place.train("mixed", &mixed).metric("rewards/chosen");
    assert!((0.3..0.7).contains(&(mixed[1] / start[1])), "{mixed:?} {start:?}");
    // A step that has not come yet changes nothing.
    let late = place.train("late", &format!("{QUICK} --sync-ref-model --ref-model-sync-steps 3"));
    assert_eq!(late.metric("rewards/chosen"), start);
}

#[test]
fn a_resumed_run_has_the_state_of_its_method() {
    let place = place();
    let options = "--train-sampling-strategy random --seed 7 --per-device-train-batch-size 3 --learning-rate 1e-3 \
        --max-length 80 --logging-steps 1 --max-steps 6 --save-steps 2";
    for (at, method) in [
        "--loss-type bco",
        "--loss-type kto",
        "--loss-type sigmoid,sft --sync-ref-model --ref-model-sync-steps 2",
        "--loss-type apo_zero_unpaired --sync-ref-model --ref-model-sync-steps 3",
        "--loss-type orpo",
    ]
    .into_iter()
    .enumerate()
    {
        let whole = place.train(&format!("whole-{at}"), &format!("{options} {method}"));
        for step in [2, 4] {
            let from = format!("{options} {method} --resume-from-checkpoint whole-{at}/checkpoint-{step}");
            let resumed = place.train(&format!("resumed-{at}-{step}"), &from);
            assert_eq!(resumed.log(), whole.log(), "{method} from step {step}");
            assert!(resumed.model() == whole.model(), "{method} from step {step}: another model");
        }
    }
}

/// A likelihood term is a mean over tokens beside a mean over pairs: each has its own amount in a window.
#[test]
fn micro_batches_do_not_matter_to_methods_whose_rows_are_apart() {
    let place = place();
    for (at, method) in
        ["sigmoid,sft", "orpo", "cpo_sigmoid", "tpo_l", "ipo --ld-alpha 0.3", "apo_zero_unpaired"]
            .into_iter()
            .enumerate()
    {
        let train = |batch: usize, accumulation: usize| {
            let options = format!(
                "{QUICK} --train-sampling-strategy sequential --per-device-train-batch-size {batch} \
                 --gradient-accumulation-steps {accumulation} --loss-type {method}"
            );
            place.train(&format!("{at}-{batch}x{accumulation}"), &options)
        };
        let (whole, cut) = (train(8, 1), train(2, 4));
        for (metric, tolerance) in [("loss", 1e-5), ("grad_norm", 1e-4)] {
            for (found, expected) in cut.metric(metric).into_iter().zip(whole.metric(metric)) {
                assert!(
                    (found - expected).abs() <= tolerance * expected.abs(),
                    "{method} {metric}: {found} for {expected}"
                );
            }
        }
        let (apart, parameter) = worst_difference(&cut.weights(), &whole.weights());
        assert!(apart < 1e-4, "{method}: {parameter} ends {apart:.1e} apart");
    }
}

#[test]
fn precomputed_log_probs_are_those_that_the_method_compares() {
    let place = place();
    let options = format!("{QUICK} --train-sampling-strategy sequential --per-device-train-batch-size 5");
    for (at, method) in ["kto", "apo_zero_unpaired", "ipo --ld-alpha 0.3", "sigmoid"].into_iter().enumerate()
    {
        let live = place.train(&format!("live-{at}"), &format!("{options} --loss-type {method}"));
        let cache = "--precompute-ref-log-probs --ref-log-probs-cache cache";
        let read = place.train(&format!("read-{at}"), &format!("{options} --loss-type {method} {cache}"));
        for (found, expected) in read.metric("loss").into_iter().zip(live.metric("loss")) {
            assert!((found - expected).abs() < 1e-4 * expected, "{method}: {found} for {expected}");
        }
        // Every method has numbers of its own.
        assert_eq!(std::fs::read_dir(place.path("cache")).unwrap().count(), at + 1, "{method}");
    }
}

/// Held-out rows are measured against what was computed in advance, and sampled texts against a model that is loaded for them.
#[test]
fn what_is_measured_without_the_reference_is_what_it_says_live() {
    let place = place();
    copy_dir(&place.path("model"), &place.path("other"));
    let held = "--eval-dataset data.jsonl --eval-strategy steps --eval-steps 3 --num-kl-prompts 3 --max-new-tokens 4 \
                --per-device-eval-batch-size 5";
    for (at, method) in [
        "sigmoid",
        "sigmoid --ref-model other",
        "kto --train-sampling-strategy sequential",
        "sigmoid --use-peft --lora-r 4",
    ]
    .into_iter()
    .enumerate()
    {
        let options = format!("{QUICK} {held} --loss-type {method}");
        let live = place.train(&format!("live-{at}"), &options);
        let cache = "--precompute-ref-log-probs --ref-log-probs-cache cache";
        let read = place.train(&format!("read-{at}"), &format!("{options} {cache}"));
        for metric in ["eval_loss", "eval_kl", "eval_rewards/margins"] {
            let (found, expected) = (read.metric(metric), live.metric(metric));
            assert!(!expected.is_empty() && found.len() == expected.len(), "{method} {metric}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-4, "{method} {metric}: {found} for {expected}");
            }
        }
        let (read, live) = (read.json("report.json"), live.json("report.json"));
        for field in ["accuracy_before", "accuracy_after"] {
            assert!(live[field].is_number() && read[field] == live[field], "{method}: {field}");
        }
    }
}

/// The reference is not in a checkpoint: it is loaded again, and would quietly be another.
#[test]
fn a_reference_whose_weights_changed_is_refused() {
    let place = place();
    copy_dir(&place.path("model"), &place.path("other"));
    for (out, reference, option) in [("own", "model", ""), ("named", "other", "--ref-model other")] {
        let options = format!("--max-steps 2 --save-steps 1 --max-length 60 --report-to none {option}");
        place.train(out, &options);
        let weights = place.path(reference).join("model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        let low = bytes.len() - 4;
        bytes[low] ^= 1;
        fs::write(&weights, bytes).unwrap();
        let resumed = training(out, &format!("{options} --resume-from-checkpoint last"));
        let problem = format!("{out}/checkpoint-2: was made with another reference: its weights are not");
        check(&place, &resumed, &[&problem]);
    }
}
