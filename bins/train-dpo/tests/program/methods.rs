//! Every method trains, starts where its formula says, and is changed by each of its options.

use std::fs;
use std::path::Path;

use crate::support::{Place, QUICK, RUNS, Run, training};

/// Pairs with gold answers; read as single answers too.
const DATA: &str = "pairs_reference.jsonl";

fn place() -> Place {
    Place::from(Path::new(RUNS), DATA)
}

/// Three steps of a method, at four rows to each.
fn steps(place: &Place, out: &str, method: &str) -> Run {
    let options = format!("{QUICK} --per-device-train-batch-size 4");
    place.train(out, &format!("{options} --loss-type {method}"))
}

/// Methods on log-ratios: their loss where policy and reference are the same, with β = 0.1.
fn known_starts() -> [(&'static str, f64); 21] {
    let indifferent = std::f64::consts::LN_2;
    // −log(1 − ε) and −log ε meet halfway.
    let exo = indifferent.mul_add(-1.0, -0.5 * (0.999f64.ln() + 0.001f64.ln()));
    [
        ("sigmoid", indifferent),
        ("sigmoid --label-smoothing 0.2", indifferent),
        ("robust --label-smoothing 0.2", indifferent),
        ("hinge", 1.0),
        ("ipo", 25.0),
        ("ipo_sum", 25.0),
        ("sigmoid_norm", indifferent),
        ("exo_pair --label-smoothing 0.001", exo),
        ("nca_pair", 2.0 * indifferent),
        ("bco_pair", 2.0 * indifferent),
        ("sppo_hard", 50.0),
        ("aot", indifferent),
        ("aot_unpaired", indifferent),
        ("apo_zero", 1.0),
        ("apo_down", 1.0),
        ("discopop", 0.5 * indifferent + 0.5),
        ("dpop", indifferent),
        ("kto", 0.5),
        ("apo_zero_unpaired", 0.5),
        ("bco", indifferent),
        ("sigmoid,hinge --loss-weights 1,0.5", indifferent + 0.5),
    ]
}

#[test]
fn methods_with_a_reference_start_at_the_loss_of_indifference_and_train() {
    let place = place();
    let mut ends: Vec<(String, Vec<f64>)> = Vec::new();
    for (at, (method, expected)) in known_starts().into_iter().enumerate() {
        let run = steps(&place, &format!("run-{at}"), method);
        let losses = run.metric("loss");
        assert!((losses[0] - expected).abs() < 1e-5 * expected, "{method}: {} for {expected}", losses[0]);
        assert!(run.metric("grad_norm").iter().all(|norm| *norm > 0.0), "{method}: no gradient");
        // The first step has no rewards, the later ones do, and no two methods walk the same way.
        let rewards = run.metric("rewards/chosen");
        assert!(rewards[0] == 0.0 && rewards[1] != 0.0, "{method}: {rewards:?}");
        // But for AOT, as long as no pair has overtaken another.
        let same = ends.iter().find(|(_, other)| *other == losses);
        assert!(method == "aot" || same.is_none(), "{method} is {}", same.unwrap().0);
        ends.push((method.to_owned(), losses));
    }
}

#[test]
fn methods_without_a_reference_train_the_policy_alone() {
    let place = place();
    let methods = [
        "cpo_sigmoid",
        "cpo_hinge",
        "cpo_ipo",
        "simpo",
        "slic",
        "orpo",
        "tpo_sigmoid",
        "tpo_hinge",
        "tpo_ipo",
        "tpo_l",
        "sigmoid --reference-free",
        "hinge --reference-free",
        "ipo --reference-free",
    ];
    let mut ends: Vec<Vec<f64>> = Vec::new();
    for (at, method) in methods.into_iter().enumerate() {
        let run = steps(&place, &format!("run-{at}"), method);
        let losses = run.metric("loss");
        assert!(run.metric("grad_norm").iter().all(|norm| *norm > 0.0), "{method}: no gradient");
        // Rewards are β · log-probs, which no answer has 0 of.
        assert!(run.metric("rewards/chosen")[0] < 0.0, "{method}");
        assert!(!ends.contains(&losses), "{method} is another method");
        ends.push(losses);
    }
    // The likelihood term is reported where there is one.
    let logs = |run: usize, metric: &str| !place.run(&format!("run-{run}")).metric(metric).is_empty();
    assert!(logs(0, "nll_loss") && logs(5, "nll_loss"));
    assert!(!logs(3, "nll_loss") && !logs(4, "nll_loss"));
    assert!(logs(5, "log_odds_chosen") && logs(5, "log_odds_ratio"));
}

#[test]
fn every_option_of_a_method_changes_it() {
    let place = place();
    let methods = [
        (
            "sigmoid",
            vec![
                "--beta 0.2",
                "--label-smoothing 0.2",
                "--ld-alpha 0.5",
                "--use-weighting",
                "--f-divergence-type forward_kl",
                "--f-divergence-type js_divergence",
                "--f-divergence-type alpha_divergence",
                "--f-divergence-type alpha_divergence --f-alpha-divergence-coef 0.8",
            ],
        ),
        ("robust --label-smoothing 0.1", vec!["", "--f-divergence-type js_divergence"]),
        ("discopop", vec!["--discopop-tau 0.5"]),
        // dpop's penalty is on answers that become less likely.
        ("dpop", vec!["--dpop-lambda 5"]),
        ("rdpo", vec!["--length-alpha 0.1"]),
        ("cpo_sigmoid", vec!["--cpo-alpha 0.5", "--cpo-alpha 0", "--label-smoothing 0.1"]),
        ("simpo", vec!["--simpo-gamma 1", "--cpo-alpha 1", "--beta 2", "--alpha 0.25", "--alpha -0.25"]),
        ("slic", vec!["--slic-delta 100", "--slic-reg 0.3"]),
        ("orpo", vec!["--beta 0.5"]),
        ("tpo_l", vec!["--tpo-l-gamma 1", "--tpo-alpha 0.5", "--beta 0.1"]),
        ("kto", vec!["--desirable-weight 1.5", "--undesirable-weight 1.5", "--beta 0.3"]),
        ("bco", vec!["--beta 0.3"]),
        ("sigmoid,sft", vec!["--loss-weights 1,0.5", "--loss-weights 0.5,1"]),
    ];
    for (at, (method, options)) in methods.into_iter().enumerate() {
        let mut seen = vec![steps(&place, &format!("plain-{at}"), method).metric("loss")];
        for (place_of, option) in options.into_iter().enumerate().filter(|(_, option)| !option.is_empty()) {
            let losses =
                steps(&place, &format!("run-{at}-{place_of}"), &format!("{method} {option}")).metric("loss");
            assert!(!seen.contains(&losses), "{method} {option}: changes nothing");
            seen.push(losses);
        }
    }
}

/// What holds exactly: weights scale, and a likelihood is the same beside whatever else is compared.
#[test]
fn a_mixture_is_the_weighted_sum_of_its_losses() {
    let place = place();
    let first = |out: &str, method: &str| {
        let run = steps(&place, out, method);
        (run.metric("loss")[0], run.metric("grad_norm")[0])
    };
    let assert_times = |found: (f64, f64), times: f64, of: (f64, f64)| {
        assert!(
            (found.0 - times * of.0).abs() < 1e-5 * found.0.abs(),
            "{found:?} is not {times} times {of:?}"
        );
        assert!(
            (found.1 - times * of.1).abs() < 1e-4 * found.1.abs(),
            "{found:?} is not {times} times {of:?}"
        );
    };
    let sft = first("sft", "sft");
    assert_times(first("ld", "sigmoid,sft --loss-weights 0,1 --ld-alpha 0"), 1.0, sft);
    assert_times(first("half", "sigmoid,sft --loss-weights 0,0.5"), 0.5, sft);
    assert_times(first("five", "hinge --loss-weights 5"), 5.0, first("hinge", "hinge"));
    let tpo = first("tpo", "tpo_hinge --tpo-alpha 0");
    assert_times(first("cpo", "cpo_hinge --cpo-alpha 0 --beta 0.01"), 1.0, tpo);
}

/// Pairs are desirable and undesirable answers to the same prompts; written out as such they are the same data.
#[test]
fn preference_data_can_be_read_as_single_answers() {
    let place = place();
    let pairs = steps(&place, "pairs", "kto");
    let rows: Vec<serde_json::Value> = std::fs::read_to_string(place.path("data.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let single = |answer: &str, label: bool| {
        let row = |row: &serde_json::Value| serde_json::json!({ "prompt": row["prompt"], "completion": row[answer], "label": label });
        rows.iter().map(row).map(|row| format!("{row}\n")).collect::<String>()
    };
    place.write("data.jsonl", single("chosen", true) + &single("rejected", false));
    let written_out = steps(&place, "single", "kto");
    assert_eq!(pairs.log(), written_out.log());
    assert!(pairs.model() == written_out.model());
}

#[test]
fn what_is_measured_on_held_out_rows_fits_the_method() {
    let place = place();
    let report = |out: &str, method: &str| {
        let options = format!("{QUICK} --eval-dataset data.jsonl --max-new-tokens 4 {method}");
        place.train(out, &options).json("report.json")
    };
    let kto = report("kto", "--loss-type kto --per-device-train-batch-size 8 --num-kl-prompts 2");
    assert_eq!((kto["held_out_rows"].as_u64(), kto["accuracy_before"].as_f64()), (Some(48), Some(0.5)));
    assert!(kto["kl"].as_f64().is_some() && kto["margin_after"].as_f64().unwrap() > 0.0, "{kto}");
    // Without a reference there is nothing to measure a divergence from.
    let simpo = report("simpo", "--loss-type simpo");
    assert_eq!((simpo["held_out_rows"].as_u64(), simpo["kl"].as_f64()), (Some(24), None));
    let bco = report("bco", "--loss-type bco --num-kl-prompts 0");
    assert_eq!((bco["margin_before"].as_f64(), bco["kl"].as_f64()), (Some(0.0), None));
}

/// A default that depends on the method is in no help text that a reader of the run has at hand.
#[test]
fn a_run_records_the_options_it_was_not_given_and_can_be_repeated_and_resumed_with_them() {
    let place = place();
    let saving = "--max-steps 2 --max-length 60 --logging-steps 1 --report-to none --save-steps 1";
    for (number, (method, recorded)) in [
        (
            "sigmoid --sync-ref-model",
            "beta = 0.1\nlabel_smoothing = 0.0\nld_alpha = 1.0\n\
            f_divergence_type = \"reverse_kl\"\nref_model_mixup_alpha = 0.6\nref_model_sync_steps = 512\n",
        ),
        ("sigmoid,sft --beta 0.2", "label_smoothing = 0.0\nld_alpha = 1.0\nloss_weights = [1.0,1.0]\n"),
        ("tpo_l", "beta = 0.01\nlabel_smoothing = 0.0\ntpo_alpha = 1.0\ntpo_l_gamma = 0.5\n"),
        ("kto", "beta = 0.1\ndesirable_weight = 1.0\nundesirable_weight = 1.0\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let (out, again) = (format!("run-{number}"), format!("again-{number}"));
        let run = place.train(&out, &format!("{saving} --loss-type {method}"));
        let settings = fs::read_to_string(run.dir.join("training_args.toml")).unwrap();
        let rate = if method == "tpo_l" { "5e-7" } else { "1e-6" };
        let expected = format!("\nlearning_rate = {rate}\n{recorded}");
        assert!(settings.ends_with(&expected), "{settings}");

        place.succeeds(&format!("--config {out}/training_args.toml --output-dir {again}"));
        assert!(place.run(&again).model() == run.model(), "{method}");
        assert_eq!(place.run(&again).log(), run.log(), "{method}");
        let written_out = format!("--config {out}/training_args.toml");
        let resumed = format!("--resume-from-checkpoint {out}/checkpoint-1 --output-dir {again}");
        place.succeeds(&format!("{written_out} {resumed} --overwrite-output-dir"));
        assert!(place.run(&again).model() == run.model(), "{method}: resumed");
        let bare = training(&again, &format!("{saving} --loss-type {method} --overwrite-output-dir"));
        place.succeeds(&format!("{bare} --resume-from-checkpoint {out}/checkpoint-1"));
    }
}
