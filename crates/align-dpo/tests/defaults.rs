//! What an option is where it was not given: the values that a run records are those it used.
#![cfg(feature = "clap")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_dpo::{DpoOptions, LossType};
use clap::{Parser, ValueEnum as _};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    dpo: DpoOptions,
}

fn parsed(words: &str) -> DpoOptions {
    Program::try_parse_from(["program"].into_iter().chain(words.split_whitespace())).unwrap().dpo
}

/// The options with what was not given written out, as a recorded run gives them again.
fn written_out(words: &str) -> String {
    let mut all = words.to_owned();
    for (option, value) in parsed(words).defaulted() {
        let value = value.to_string().replace(['[', ']', '"', ' '], "");
        all += &format!(" --{} {value}", option.replace('_', "-"));
    }
    all
}

#[test]
fn what_is_recorded_is_accepted_complete_and_changes_nothing() {
    let names = LossType::value_variants().iter().map(|loss| loss.to_possible_value().unwrap());
    let mut runs: Vec<String> = names.map(|name| format!("--loss-type {}", name.get_name())).collect();
    // Its default is refused.
    runs.iter_mut().filter(|run| run.contains("exo_pair")).for_each(|run| *run += " --label-smoothing 0.1");
    runs.extend(
        [
            "--loss-type sigmoid,bco_pair,sft",
            "--loss-type sigmoid,aot,robust --beta 0.3",
            "--loss-type sigmoid,hinge --f-divergence-type alpha_divergence",
            "--loss-type apo_zero --sync-ref-model",
            "--loss-type ipo --reference-free",
            "--loss-type simpo --cpo-alpha 0.5",
        ]
        .map(str::to_owned),
    );
    for run in runs {
        let all = written_out(&run);
        let (method, same) = (parsed(&run).method(4, Some(64)), parsed(&all).method(4, Some(64)));
        assert_eq!(same.unwrap(), method.unwrap(), "{all}");
        assert_eq!(parsed(&run).mixup().unwrap(), parsed(&all).mixup().unwrap(), "{all}");
        assert!(parsed(&all).defaulted().is_empty(), "{all}");
        assert!(all.contains("--beta "), "{all}");
    }
}

#[test]
fn what_is_recorded_depends_on_the_loss() {
    assert!(written_out("--loss-type tpo_l").contains("--beta 0.01"));
    assert!(written_out("--loss-type simpo").contains("--cpo-alpha 0.0 --simpo-gamma 0.5"));
    assert!(written_out("--loss-type cpo_ipo").contains("--cpo-alpha 1.0"));
    assert!(written_out("--loss-type sigmoid,sft").contains("--loss-weights 1.0,1.0"));
    assert!(
        written_out("--sync-ref-model").contains("--ref-model-mixup-alpha 0.6 --ref-model-sync-steps 512")
    );
    let plain = written_out("");
    for other in ["simpo", "cpo", "mixup", "discopop", "loss-weights", "desirable"] {
        assert!(!plain.contains(other), "{plain}");
    }
}

#[test]
fn an_update_that_is_cut_is_announced_where_it_is_another_and_nowhere_else() {
    let announced = |steps: usize| -> Vec<String> {
        let names = LossType::value_variants().iter().map(|loss| loss.to_possible_value().unwrap());
        let names = names.map(|name| name.get_name().to_owned());
        names.filter(|name| parsed(&format!("--loss-type {name}")).notice_of_cut(steps).is_some()).collect()
    };
    assert_eq!(announced(4), ["aot", "aot_unpaired", "kto", "bco"]);
    assert!(announced(1).is_empty());
    let notice = parsed("--loss-type sigmoid,aot").notice_of_cut(4).unwrap();
    assert!(notice.contains("loss_type aot") && notice.contains("4 micro-batches"), "{notice}");
}
