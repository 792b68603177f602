//! The methods without a critic: each trains, goes on from a checkpoint, and refuses what is not for it.

use std::fs;

use crate::stage::TIMINGS;
use crate::support::{Place, Run, training};

/// Sixteen completions and two updates a phase.
const QUICK: &str = "--reward-funcs length:1..30 --max-new-tokens 12 --per-device-train-batch-size 8 \
    --learning-rate 1e-3 --logging-steps 1 --report-to none";

/// Groups of two, so that many agree.
const DAPO: &str = "--method dapo --num-generations 2 --mask-truncated-completions false";

const METHODS: [&str; 8] = [
    "--method grpo --num-generations 4 --beta 0.04 --steps-per-generation 2",
    "--method dr_grpo --num-generations 4",
    "--method dapo --num-generations 4 --soft-punish-cache 4 --mask-truncated-completions false",
    "--method gspo --num-generations 4",
    "--method cispo --num-generations 4",
    "--method rloo",
    "--method reinforce_pp",
    "--method online_dpo",
];

#[test]
fn every_method_trains_and_says_how_it_went() {
    let place = Place::new();
    for (at, method) in METHODS.into_iter().enumerate() {
        let run =
            place.train(&format!("out-{at}"), &format!("{QUICK} {method} --save-strategy no --max-steps 4"));
        let report = run.json("report.json");
        let name = method.split_whitespace().nth(1).unwrap();
        assert_eq!((report["method"].as_str(), report["steps"].as_u64()), (Some(name), Some(4)), "{method}");
        for metric in ["objective/scores", "completions/mean_length", "completions/clipped_ratio", "entropy"]
        {
            assert!(!run.metric(metric).is_empty(), "{method}: {metric}");
        }
        if name == "online_dpo" {
            assert_eq!(run.metric("rewards/margins").len(), 4);
            continue;
        }
        for metric in ["reward", "reward_std", "val/ratio"] {
            assert!(!run.metric(metric).is_empty(), "{method}: {metric}");
        }
        assert!((run.metric("val/ratio")[0] - 1.0).abs() < 0.01, "{method}");
        if !["cispo", "reinforce_pp"].contains(&name) {
            assert!(!run.metric("clip_ratio/region_mean").is_empty(), "{method}");
            assert!(!run.metric("frac_reward_zero_std").is_empty(), "{method}");
        }
    }
}

#[test]
fn every_optimizer_trains_policies_and_critics_and_adapters() {
    let place = Place::new();
    let mut models = Vec::new();
    for (at, optim) in
        ["adamw_torch", "adamw_8bit", "adafactor", "lion", "sgd", "muon"].into_iter().enumerate()
    {
        for method in ["--method grpo --num-generations 4", "--use-peft --lora-r 16 --loraplus-lr-ratio 4"] {
            // The adapters of so small a model are too small for it, as the program says.
            if optim == "adamw_8bit" && method.starts_with("--use-peft") {
                continue;
            }
            let options = format!("{QUICK} {method} --optim {optim} --save-strategy no --max-steps 2");
            let run = place.train(&format!("out-{at}-{}", models.len()), &options);
            assert!(run.json("report.json")["steps"].as_u64() >= Some(2), "{optim} {method}");
            models.push(run.model());
        }
    }
    let all = models.len();
    models.sort();
    models.dedup();
    assert_eq!(models.len(), all, "two optimizers give the same model");
}

#[test]
fn prompts_that_teach_nothing_are_sampled_again_as_others() {
    let place = Place::new();
    let options = format!("{QUICK} {DAPO} --save-strategy no --max-steps 2 --seed 5");
    let share = |run: &Run| {
        let shares = run.metric("frac_reward_zero_std");
        shares.iter().sum::<f64>() / shares.len() as f64
    };
    let plain = place.train("plain", &format!("{options} --max-num-gen-batches 1"));
    assert!(plain.metric("dynamic_sampling/num_gen_batches").is_empty());
    let dynamic = place.train("dynamic", &options);
    let (batches, replaced) = (
        dynamic.metric("dynamic_sampling/num_gen_batches"),
        dynamic.metric("dynamic_sampling/replaced_prompts"),
    );
    assert!(batches.iter().all(|&count| (1.0..=10.0).contains(&count)), "{batches:?}");
    assert!(replaced[0] >= 1.0, "{replaced:?}");
    assert!(share(&dynamic) < share(&plain), "{} of {}", share(&dynamic), share(&plain));
    assert_eq!(dynamic.metric("episode"), plain.metric("episode"), "as many are trained on");
}

#[test]
fn a_reward_that_can_be_had_is_had() {
    let place = Place::new();
    let options = "--method grpo --num-generations 8 --save-strategy no --total-episodes 4096 \
        --per-device-train-batch-size 64 --reward-funcs length:1..20 --learning-rate 3e-3 --max-new-tokens 8 --num-iterations 2 \
        --report-to none --logging-steps 1";
    let scores = place.train("out", options).metric("objective/scores");
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let (first, last) = (mean(&scores[..3]), mean(&scores[scores.len() - 3..]));
    assert!(last > first + 0.3, "{first} to {last}");
}

#[test]
fn a_group_run_goes_on_from_its_checkpoints_as_if_never_stopped() {
    let place = Place::new();
    let timeless = |run: &Run| {
        let mut log = run.log();
        log.iter_mut().for_each(|entry| entry.retain(|name, _| !TIMINGS.contains(&name.as_str())));
        log
    };
    // With dynamic sampling a phase draws prompts that are not in its order.
    for (at, method) in [METHODS[0], DAPO].into_iter().enumerate() {
        let options = format!("{QUICK} {method} --num-iterations 2 --max-steps 8 --save-steps 4 --seed 5");
        let whole = place.train(&format!("whole-{at}"), &options);
        let replaced: f64 = whole.metric("dynamic_sampling/replaced_prompts").iter().skip(2).sum();
        assert_eq!(replaced > 0.0, method == DAPO, "after the checkpoint");
        let from = format!("--resume-from-checkpoint whole-{at}/checkpoint-4");
        let from = place.train(&format!("from-{at}"), &format!("{options} {from}"));
        assert_eq!(timeless(&from), timeless(&whole), "{method}: another log");
        assert!(from.model() == whole.model(), "{method}: another model");
    }
}

#[test]
fn an_update_that_is_cut_is_announced_where_it_is_another() {
    let place = Place::new();
    let says = |options: &str| {
        let words = training("out", &format!("{QUICK} --method grpo {options} --dry-run"));
        place.succeeds(&words).stderr.contains("micro-batches an update do not add up")
    };
    assert!(says("--loss-type bnpo --gradient-accumulation-steps 2"));
    assert!(!says("--loss-type bnpo") && !says("--gradient-accumulation-steps 2"));
}

#[test]
fn a_prompt_alone_in_its_group_and_options_of_other_methods_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| {
        let before = place.tree();
        let ended = place.ended(&training("out", &format!("--reward-funcs length:1..30 {options}")));
        assert_eq!(ended.code, Some(2), "{options}\n{}", ended.stderr);
        for fragment in fragments {
            assert!(
                ended.stderr.contains(fragment),
                "{options}\n{}\ndoes not say `{fragment}`",
                ended.stderr
            );
        }
        assert_eq!(place.tree(), before, "{options}: something changed on disk");
    };
    refused("--method grpo --num-generations 1", &["`num_generations` = 1: must be at least 2"]);
    refused("--method grpo --num-generations 3", &["must divide the completions of a phase"]);
    refused("--method grpo --vf-coef 0.3", &["`vf_coef`: has no effect, with `method` = grpo"]);
    refused("--method ppo --num-generations 4", &["`num_generations`: has no effect, with `method` = ppo"]);
    refused("--method online_dpo --epsilon 0.1", &["`epsilon`: has no effect, with `method` = online_dpo"]);
    refused("--method online_dpo --beta 0", &["`beta` = 0: must be a positive number"]);
    refused(
        "--method rloo --scale-rewards batch",
        &["`scale_rewards` = batch: has no effect with method rloo"],
    );
    refused("--method grpo --value-loss 3", &["`value_loss` = 3: has no effect: the method has no critic"]);
    let unmeasured =
        "`on_kl_level` = raise_kl: has no effect: while beta is 0 no KL from the reference is measured";
    refused("--method grpo --beta 0 --on-kl-level raise_kl", &[unmeasured]);
    refused("--method grpo --kl-limit 5", &["`kl_limit` = 5: has no effect: while beta is 0"]);
    refused("--method grpo --clip-fraction 0.1", &["`clip_fraction` = 0.1: has no effect: with one update"]);
    refused("--method online_dpo --ratio-drift 0.1", &["the method has no importance ratio"]);
    refused("--method grpo --delta 2", &["`delta` = 2: has no effect: with one update a phase"]);
    refused("--method grpo --ref-model model", &["`ref_model`: has no effect", "no held-out prompts"]);
    refused("--method gpro", &["`gpro`", "grpo"]);
    fs::write(place.path("no-answers.jsonl"), "{\"prompt\": \"one plus one\"}\n").unwrap();
    let words = "--model model --dataset no-answers.jsonl --output-dir out --reward-funcs numeric_answer --method grpo";
    let ended = place.ended(words);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no-answers.jsonl:1") && ended.stderr.contains("`answer`"),
        "{}",
        ended.stderr
    );
}
