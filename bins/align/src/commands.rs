//! The commands: the programs by short names, in the order in which they are used.

use align_cli::{Entry, Recipe};
use align_programs::{DPO, EVALUATE, EXPORT, GENERATE, GRPO, PPO, REPORT, REWARD, SCORE, SFT};

use crate::embedded;

/// A command.
pub(crate) struct Command {
    /// What it is called by.
    pub(crate) name: &'static str,
    /// What it is for, in a few words.
    pub(crate) about: &'static str,
    /// The program.
    pub(crate) entry: Entry,
}

/// Commands that belong together, under a heading.
pub(crate) const GROUPS: [(&str, &[Command]); 3] = [
    (
        "Train",
        &[
            Command {
                name: "sft",
                about: "supervised fine-tuning: demonstrations",
                entry: named("align sft", SFT),
            },
            Command {
                name: "reward",
                about: "reward model: ranked answers",
                entry: named("align reward", REWARD),
            },
            Command {
                name: "dpo",
                about: "DPO and its relatives: preference data",
                entry: named("align dpo", DPO),
            },
            Command { name: "ppo", about: "PPO: prompts and a reward", entry: named("align ppo", PPO) },
            Command {
                name: "grpo",
                about: "GRPO: prompts and a reward, no critic",
                entry: named("align grpo", GRPO),
            },
        ],
    ),
    (
        "Use",
        &[
            Command {
                name: "generate",
                about: "completions of prompts",
                entry: named("align generate", GENERATE),
            },
            Command {
                name: "score",
                about: "scores of answers, preference files",
                entry: named("align score", SCORE),
            },
            Command {
                name: "export",
                about: "adapters merged, other precisions and shards",
                entry: named("align export", EXPORT),
            },
        ],
    ),
    (
        "Judge",
        &[
            Command {
                name: "evaluate",
                about: "models compared, judged, held to account",
                entry: named("align evaluate", EVALUATE),
            },
            Command {
                name: "report",
                about: "one page of evaluations, runs and sweeps",
                entry: named("align report", REPORT),
            },
        ],
    ),
];

/// The program under the command's full name; its recipe's files are those in this program.
const fn named(name: &'static str, entry: Entry) -> Entry {
    let recipe = match entry.program.recipe {
        Some(recipe) => Some(Recipe { files: Some(embedded::files), ..recipe }),
        None => None,
    };
    entry.called(name, recipe)
}

/// All commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    GROUPS.iter().flat_map(|(_, commands)| commands.iter())
}

/// The command of that name.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    all().find(|command| command.name == name)
}
