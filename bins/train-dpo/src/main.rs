//! Preference training: a model and preference data in, an aligned Hugging Face model out.

mod judged;
mod options;
mod pairs;
mod reference;
mod unpaired;

use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_dpo::Method;
use align_recipe::Opening;
use options::Options;

const PROGRAM: Program = Program {
    name: "train-dpo",
    about: "Preference training (DPO and its relatives): a model and preference data in, an aligned model out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, train)
}

fn train(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let Options { common, output, data, dpo, train, .. } = options;
    let mut opening = Opening::new(invocation, common, output, data, train, dpo.default_learning_rate())?;
    let method = dpo.method(train.least_examples(), opening.data.tokenize.max_length)?;
    opening.defaulted.extend(dpo.defaulted());
    if let Some(notice) = dpo.notice_of_cut(opening.config.gradient_accumulation_steps) {
        tracing::warn!("{notice}");
    }
    match &method {
        Method::Pairs(method) => pairs::train(&opening, options, method),
        Method::Unpaired(method) => unpaired::train(&opening, options, method),
    }
}
