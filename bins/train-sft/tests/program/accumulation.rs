//! Gradient accumulation is exact: however the rows of a step are cut into micro-batches, losses, gradients
//! and weights are the same to rounding, also where rows are of very different lengths and the last step of an
//! epoch has fewer of them. Nor does it matter what decides how many rows a micro-batch has, or whether layers
//! are computed again for their gradients.

use std::fs;

use serde_json::Value;

use crate::stage;
use crate::support::{Place, training, worst_difference};

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

/// Losses, gradient norms and weights, to the bit.
fn results(place: &Place, out: &str, options: &str) -> (Vec<f64>, Vec<f64>, Vec<u8>) {
    let same =
        "--num-train-epochs 2 --learning-rate 1e-3 --logging-steps 1 --save-strategy no --report-to none";
    let run = place.train(out, &format!("{same} {options}"));
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
