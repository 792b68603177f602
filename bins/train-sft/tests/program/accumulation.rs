//! Gradient accumulation is exact: however the rows of a step are cut into micro-batches, losses, gradients
//! and weights are the same to rounding, also where rows are of very different lengths and the last step of an
//! epoch has fewer of them. Nor does it matter what decides how many rows a micro-batch has, or whether layers
//! are computed again for their gradients.

use std::fs;

use serde_json::Value;

use crate::stage;
use crate::support::{Place, check, training, worst_difference};

/// 20 rows, which at 8 to a step makes a last step of 4. Of every three rows one is cut to its first word, one
/// is as it was, one is four times as long. The short ones end in their column's name: two answers that are the same
/// have no gradient but rounding's, and Adam takes that for one.
fn uneven_rows(data: &str) -> String {
    let resize = |(number, line): (usize, &str)| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        for column in stage::COMPLETIONS {
            let text = row[column].as_str().unwrap();
            row[column] = match number % 3 {
                0 => format!(" {} {column}", text.split_whitespace().next().unwrap()),
                1 => text.to_owned(),
                _ => text.repeat(4),
            }
            .into();
        }
        format!("{row}\n")
    };
    data.lines().take(20).enumerate().map(resize).collect()
}

#[test]
fn micro_batches_do_not_matter() {
    let place = Place::new();
    let data = fs::read_to_string(place.path("data.jsonl")).unwrap();
    place.write("data.jsonl", uneven_rows(&data));
    let train = |batch: usize, accumulation: usize| {
        let out = format!("{batch}x{accumulation}");
        let options = format!(
            "--per-device-train-batch-size {batch} --gradient-accumulation-steps {accumulation} \
             --num-train-epochs 2 --learning-rate 1e-3 --logging-steps 1 --save-strategy no --report-to none"
        );
        place.train(&out, &options)
    };
    let whole = train(8, 1);
    assert_eq!(whole.metric("loss").len(), 6, "3 steps in each of 2 epochs");
    for cut in [train(1, 8), train(2, 4)] {
        // f32 sums of a few hundred terms in another order. Weighting the micro-batches alike instead of
        // their tokens would change the loss in its second digit.
        for (metric, tolerance) in [("loss", 1e-5), ("grad_norm", 1e-4), ("num_tokens", 0.0)] {
            let (found, expected) = (cut.metric(metric), whole.metric(metric));
            assert_eq!(found.len(), expected.len(), "{metric}: number of log entries");
            for (found, expected) in found.into_iter().zip(expected) {
                let apart = (found - expected).abs();
                assert!(apart <= tolerance * expected.abs(), "{metric}: {found} instead of {expected}");
            }
        }
        // Adam moves a parameter with next to no gradient by up to the learning rate, whichever way rounding
        // says; seen from the whole parameter that is little.
        let (apart, parameter) = worst_difference(&cut.weights(), &whole.weights());
        println!("{}: weights {apart:.1e} apart, {parameter}", cut.dir.display());
        assert!(apart < 1e-4, "{parameter} ends {apart:.1e} apart");
    }
}

/// What is the same in all runs here.
const SAME: &str =
    "--num-train-epochs 2 --learning-rate 1e-3 --logging-steps 1 --save-strategy no --report-to none";

/// Losses, gradient norms and weights, to the bit.
fn results(place: &Place, out: &str, options: &str) -> (Vec<f64>, Vec<f64>, Vec<u8>) {
    let run = place.train(out, &format!("{SAME} {options}"));
    (run.metric("loss"), run.metric("grad_norm"), run.model())
}

#[test]
fn a_token_budget_fills_micro_batches() {
    let place = Place::new();
    let data = fs::read_to_string(place.path("data.jsonl")).unwrap();
    place.write("data.jsonl", uneven_rows(&data));
    let tokens = "--max-tokens-per-micro-batch";
    // No budget is so small that a row would not fit it, and none so large that a row would come twice.
    let each = results(&place, "each", &format!("{tokens} 1 --gradient-accumulation-steps 20"));
    assert!(
        each == results(&place, "ones", "--per-device-train-batch-size 1 --gradient-accumulation-steps 20")
    );
    let whole = results(&place, "whole", &format!("{tokens} 100000"));
    assert!(whole == results(&place, "all", "--per-device-train-batch-size 20"));
    let some = results(&place, "some", &format!("{tokens} 300"));
    assert!((5..40).contains(&some.0.len()), "{} steps in 2 epochs of 20 rows", some.0.len());
    let both = place.ended(&training("out", &format!("{tokens} 300 --per-device-train-batch-size 2")));
    assert_eq!(both.code, Some(2));
    assert!(both.stderr.contains("`per_device_train_batch_size`: has no effect"), "{}", both.stderr);
}

#[test]
fn layers_computed_again_give_the_same() {
    let place = Place::new();
    let plain = results(&place, "plain", "");
    assert!(plain == results(&place, "again", "--gradient-checkpointing"));
    assert!(plain == results(&place, "not", "--gradient-checkpointing false"));
}

/// The memory that a run is told to keep within decides how its updates are cut, and nothing else.
#[test]
fn a_limit_of_memory_cuts_the_same_update() {
    let place = Place::new();
    let shown = |options: &str| place.succeeds(&training("out", &format!("{options} --dry-run"))).stdout;
    let peak = |shown: &str| -> f64 {
        let line = shown.lines().find(|line| line.starts_with("predicted peak of memory: "));
        let mut words = line.unwrap_or_else(|| panic!("{shown}")).split_whitespace();
        words.nth(4).unwrap().replace(',', "").parse().unwrap()
    };
    let [most, least] = [24, 1].map(|rows| peak(&shown(&format!("--per-device-train-batch-size {rows}"))));
    assert!(least < most - 4.0, "{least} of one row, {most} of all");
    let limit = format!("--max-memory {}MB --per-device-train-batch-size 24", (least + most) / 2.0);
    let chosen = shown(&limit);
    let chosen = chosen.lines().find_map(|line| line.strip_prefix("chosen for `max_memory`: ")).unwrap();
    let number = |name: &str| -> usize {
        let value = chosen.split(", ").find_map(|part| part.strip_prefix(name));
        value.unwrap_or_else(|| panic!("{name} in {chosen}")).trim().parse().unwrap()
    };
    let (rows, steps) = (number("per_device_train_batch_size"), number("gradient_accumulation_steps"));
    assert!(rows * steps == 24 && rows < 24, "{chosen}");
    let again = chosen.contains("gradient_checkpointing");
    let cut = format!(
        "--per-device-train-batch-size {rows} --gradient-accumulation-steps {steps} --gradient-checkpointing {again}"
    );
    assert!(results(&place, "cut", &cut) == results(&place, "chosen", &limit));

    let report = place.run("chosen").json("report.json");
    let predicted = report["predicted_peak_memory_mb"].as_f64().unwrap();
    assert!(predicted <= (least + most) / 2.0 + 1.0, "{predicted}");
    // Where the program is most of it; larger models are measured in docs/memory.md.
    let measured = report["peak_memory_mb"].as_f64().unwrap_or(predicted);
    assert!((predicted / measured - 1.0).abs() < 0.5, "{predicted} predicted, {measured} measured");

    // What is resumed goes on with the cut that it began with, whatever would be chosen by now.
    let save = "--max-steps 2 --save-steps 1 --learning-rate 1e-3 --logging-steps 1 --report-to none";
    let whole = place.train("whole", &format!("{limit} {save}"));
    for (out, options) in [("bare", ""), ("same", &*limit), ("more", "--max-memory 900GB")] {
        let resumed = format!("{save} --resume-from-checkpoint whole/checkpoint-1 {options}");
        assert!(whole.model() == place.train(out, &resumed).model(), "{options}");
    }
}

#[test]
fn one_process_divides_nothing() {
    let place = Place::new();
    for shard in ["optimizer", "gradients"] {
        check(
            &place,
            &training("out", &format!("--shard {shard}")),
            &["`shard`: has no effect", "there is one rank"],
        );
    }
    place.succeeds(&training("out", "--shard none --dry-run"));
}

/// A dry run is asked what several ranks would bring: by their bytes, and with a bandwidth by the time of passes too.
#[test]
fn ranks_are_predicted_by_one_process() {
    let place = Place::new();
    let shown = |options: &str| place.succeeds(&training("out", &format!("--dry-run {options}"))).stdout;
    let timed = shown("--ranks 64 --bandwidth 10Gbit/s --shard optimizer");
    for line in [
        "64 ranks, each on a machine like this one:",
        "passes of an update",
        "expected efficiency",
        "for 0.9",
    ] {
        assert!(timed.contains(line), "{line}: {timed}");
    }
    let counted = shown("--ranks 4");
    assert!(counted.contains("sent by a rank for an update"), "{counted}");
    assert!(!counted.contains("passes of an update"), "{counted}");
    assert!(!place.path("out").exists());
    check(&place, &training("out", "--ranks 4"), &["`--dry-run`"]);
}
