//! Options that do not go together are refused with the reason, before anything is read or written.

use std::path::Path;

use crate::support::{Place, RUNS, training};

#[test]
fn what_does_not_go_together_is_refused() {
    let place = Place::new();
    let refused = |options: &str, fragment: &str| {
        let before = place.tree();
        let ended = place.ended(&training("out", options));
        assert_eq!(ended.code, Some(2), "{options}\n{}", ended.stderr);
        // One error, the last line; what was noticed in the data before may stand above it.
        let errors: Vec<&str> = ended
            .stderr
            .lines()
            .filter(|line| !line.starts_with("warning: ") && !line.starts_with("a peak of "))
            .collect();
        assert_eq!(errors.len(), 1, "{options}: {}", ended.stderr);
        assert!(
            errors[0].starts_with("error: ") && errors[0].contains(fragment),
            "{options}: {}",
            ended.stderr
        );
        assert_eq!(place.tree(), before);
    };
    // A mixture is of losses that are fed alike, each once, each with its weight.
    refused("--loss-type sigmoid,sigmoid", "names sigmoid twice");
    refused("--loss-type sigmoid,kto", "kto is trained by itself");
    refused("--loss-type cpo_sigmoid,sft", "cpo_sigmoid is trained by itself");
    refused("--loss-type sigmoid,sft --loss-weights 1", "`loss_weights` = 1: must be one weight per loss, 2");
    refused("--loss-type sigmoid,sft --loss-weights 1,-1", "must be numbers that are not negative");
    refused("--loss-type sigmoid,sft --loss-weights 0,0", "not all 0");

    refused("--loss-type kto --loss-weights 5", "has no effect with loss_type kto");
    refused("--loss-type orpo --loss-weights 5", "has no effect with loss_type orpo");
    refused(
        "--loss-type sigmoid,apo_zero --f-divergence-type js_divergence",
        "apo_zero has no other divergence",
    );
    refused("--loss-type sigmoid,exo_pair --label-smoothing 0.1", "would make conservative DPO of sigmoid");
    refused("--loss-type cpo_sigmoid --alpha 0.5", "only with cpo_ipo, simpo");

    // An option that the loss does not use.
    for (options, fragment) in [
        (
            "--loss-type hinge --label-smoothing 0.1",
            "`label_smoothing` = 0.1: has no effect with loss_type hinge",
        ),
        ("--loss-type kto --label-smoothing 0.1", "only with sigmoid, robust"),
        ("--simpo-gamma 1", "`simpo_gamma` = 1: has no effect with loss_type sigmoid, only with simpo"),
        ("--loss-type simpo --precompute-ref-log-probs", "`precompute_ref_log_probs` = true: has no effect"),
        ("--loss-type orpo --ref-model model", "`ref_model` = model: has no effect with loss_type orpo"),
        ("--loss-type bco --desirable-weight 2", "`desirable_weight` = 2: has no effect with loss_type bco"),
        ("--loss-type nca_pair --f-divergence-type js_divergence", "`f_divergence_type`"),
        ("--loss-type sft --ld-alpha 0.5", "`ld_alpha` = 0.5: has no effect with loss_type sft"),
        ("--loss-type slic --cpo-alpha 1", "`cpo_alpha` = 1"),
        ("--discopop-tau 1", "only with discopop"),
        ("--dpop-lambda 1", "only with dpop"),
        ("--length-alpha 1", "only with rdpo"),
        ("--slic-delta 1", "only with slic"),
        ("--slic-reg 1", "only with slic"),
        ("--alpha 1", "`alpha` = 1: has no effect"),
        ("--tpo-alpha 1", "`tpo_alpha` = 1: has no effect"),
        ("--tpo-l-gamma 1", "only with tpo_l"),
        ("--undesirable-weight 2", "only with kto, apo_zero_unpaired"),
        ("--f-alpha-divergence-coef 0.5", "without `f_divergence_type` alpha_divergence"),
        ("--ref-model-mixup-alpha 0.5", "without `sync_ref_model`"),
        ("--ref-model-sync-steps 5", "without `sync_ref_model`"),
        (
            "--loss-type simpo --eval-dataset data.jsonl --num-kl-prompts 4",
            "no reference to measure the KL from",
        ),
    ] {
        refused(options, fragment);
    }

    // Options that undo each other.
    refused("--sync-ref-model --precompute-ref-log-probs", "the reference moves");
    refused("--loss-type sigmoid,sft --use-weighting", "sft is not a sum over pairs");
    refused(
        "--loss-type nca_pair --reference-free",
        "`reference_free` = true: has no effect with loss_type nca_pair",
    );
    refused("--loss-type sigmoid,nca_pair --reference-free", "nca_pair needs a reference");
    refused("--reference-free --ref-model model", "`ref_model` = model: has no effect with `reference_free`");
    refused(
        "--reference-free --f-divergence-type js_divergence",
        "no divergence from a reference that is not there",
    );

    // Numbers outside their range.
    for (options, fragment) in [
        ("--ld-alpha 1.5", "`ld_alpha` = 1.5: must be in [0, 1]"),
        ("--loss-type exo_pair", "must be above 0 with loss_type exo_pair"),
        ("--loss-type simpo --simpo-gamma -1", "`simpo_gamma` = -1: must be a number that is not negative"),
        ("--loss-type kto --desirable-weight 0", "`desirable_weight` = 0: must be a positive number"),
        ("--sync-ref-model --ref-model-mixup-alpha 0", "must be above 0 and at most 1"),
        ("--sync-ref-model --ref-model-sync-steps 0", "must be at least 1"),
        ("--loss-type discopop --discopop-tau 0", "`discopop_tau` = 0"),
        ("--loss-type kto --per-device-train-batch-size 1", "must be at least 2, and not be left"),
        ("--loss-type aot --per-device-train-batch-size 1", "with loss_type aot, which compares"),
        ("--loss-type kto --max-tokens-per-micro-batch 900", "not be left to `max_tokens_per_micro_batch`"),
        (
            "--loss-type kto --precompute-ref-log-probs --ref-log-probs-cache c",
            "--train-sampling-strategy sequential",
        ),
    ] {
        refused(options, fragment);
    }
    // Gold answers are a column of the data.
    refused("--loss-type tpo_sigmoid", "data.jsonl:1");
}

#[test]
fn single_answers_need_labels_and_a_label_is_true_or_false() {
    let place = Place::from(Path::new(RUNS), "unpaired.jsonl");
    let refused = |options: &str, fragment: &str| {
        let ended = place.ended(&training("out", options));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(fragment), "{}", ended.stderr);
    };
    refused("", "data.jsonl:1");
    let row = |label: &str| format!("{{\"prompt\": \"p\", \"completion\": \" c\"{label}}}\n");
    place.write("data.jsonl", row(", \"label\": true") + &row(", \"label\": \"good\""));
    refused("--loss-type kto", "data.jsonl:2");
    place.write("data.jsonl", row(", \"label\": true") + &row(""));
    refused("--loss-type bco", "data.jsonl:2");
    place.write("data.jsonl", row(", \"label\": true"));
    refused("--loss-type kto", "there is one row");
}
