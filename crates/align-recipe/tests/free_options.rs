//! The options that a resumed run may change are named in align-train, which does not know the programs' other options:
//! each must be one.

use align_cli::{CommonOptions, OutputOptions};
use align_train::FREE_OPTIONS;
use clap::Args;

fn names<T: Args>() -> Vec<String> {
    let command = T::augment_args(clap::Command::new("options"));
    command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
}

#[test]
fn every_free_option_of_all_programs_exists() {
    let (common, output) = (names::<CommonOptions>(), names::<OutputOptions>());
    for (group, option) in FREE_OPTIONS {
        let known = match *group {
            "common" => &common,
            "output" => &output,
            // Checked in align-train and, of the rollouts, in train-ppo.
            "train" | "rollout" => continue,
            group => panic!("no program has a group {group}"),
        };
        assert!(known.iter().any(|name| name == option), "{group}.{option}");
    }
}
