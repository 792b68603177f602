//! Rows that are packed into bins: how many there are, and that training knows nothing of it.

use crate::support::{Place, QUICK, check, training};

#[test]
fn bins_are_what_a_micro_batch_counts() {
    let place = Place::new();
    let packed =
        "--packing-strategy bfd --max-length 128 --per-device-train-batch-size 2 --num-train-epochs 1";
    let shown = place.succeeds(&training("out", &format!("{packed} --dry-run"))).stdout;
    let run = place.train("run", &format!("{packed} --report-to none --save-strategy no"));
    let packing = &run.json("report.json")["packing"];
    let number = |name: &str| packing[name].as_u64().unwrap();
    let (bins, tokens) = (number("bins"), number("tokens"));
    assert_eq!((number("rows"), number("bin_tokens")), (24, 128));
    assert!(bins >= tokens.div_ceil(128) && bins < 16, "{packing}");
    let steps: u64 = shown.lines().last().unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(steps, bins.div_ceil(2));
    assert_eq!(run.json("trainer_state.json")["global_step"], steps);
    let told = place.succeeds(&training("again", &format!("{packed} --report-to none --save-strategy no")));
    assert!(told.stderr.contains("training rows are packed: 24 rows in "), "{}", told.stderr);
    assert!(told.stdout.contains("packed                24 rows in "), "{}", told.stdout);
}

/// The first update of all rows at once: in one micro-batch, packed, and packed in several.
#[test]
fn rows_of_a_bin_know_nothing_of_each_other() {
    let place = Place::new();
    let first = |out: &str, options: &str| place.train(out, &format!("{QUICK} {options}")).metric("loss")[0];
    let apart = first("apart", "--per-device-train-batch-size 24");
    for (out, options) in [
        ("one", "--packing-strategy bfd --per-device-train-batch-size 24"),
        ("switched", "--packing --per-device-train-batch-size 24"),
        ("several", "--packing-strategy bfd --per-device-train-batch-size 3 --gradient-accumulation-steps 8"),
    ] {
        let packed = first(out, options);
        assert!((packed - apart).abs() < 1e-5, "{options}: {packed}, apart {apart}");
    }
}

#[test]
fn packed_and_grouped_runs_go_on_to_the_bit() {
    let place = Place::new();
    for (name, way) in [
        ("packed", "--packing-strategy bfd --max-length 100 --per-device-train-batch-size 1"),
        (
            "grouped",
            "--train-sampling-strategy group_by_length --max-length 60 --per-device-train-batch-size 3",
        ),
    ] {
        let options =
            format!("{way} --num-train-epochs 2 --save-steps 4 --learning-rate 1e-3 --report-to none");
        let whole = place.train(&format!("{name}-whole"), &options);
        let resumed = format!("{options} --resume-from-checkpoint {name}-whole/checkpoint-4");
        assert!(place.train(&format!("{name}-resumed"), &resumed).model() == whole.model(), "{way}");
    }
}

#[test]
fn what_packing_makes_moot_is_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused(
        "--packing false --packing-strategy bfd",
        &["packing_strategy: has no effect with packing = false"],
    );
    refused("--packing-strategy bfd --max-length 0", &["`packing_strategy`: needs `max_length`"]);
    refused(
        "--packing-strategy bfd --max-tokens-per-micro-batch 99",
        &["`max_tokens_per_micro_batch`: has no effect"],
    );
    let grouped = "--train-sampling-strategy group_by_length";
    refused(
        &format!("--packing-strategy bfd {grouped}"),
        &["`train_sampling_strategy`: has no effect", "bins"],
    );
    refused(
        &format!("--max-tokens-per-micro-batch 99 {grouped}"),
        &["`train_sampling_strategy`: has no effect"],
    );
}
