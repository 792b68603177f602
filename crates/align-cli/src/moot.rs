//! What a flag makes moot below it: an option of a file that has no effect any more.

use std::collections::BTreeSet;

use crate::{Invocation, Parsed};

/// The option of the config file or the recipe that an option of the command line makes moot, if that is why nothing has begun.
/// `moot` are those that were before.
pub(crate) fn made_moot<C>(
    error: &anyhow::Error,
    parsed: &Parsed<C>,
    moot: &BTreeSet<String>,
    invocation: &Invocation,
) -> Option<String> {
    let error = error.downcast_ref::<align_stage::Error>().filter(|_| !invocation.has_work_started())?;
    let option = parsed.overridable.get(error.without_effect()?)?;
    // A file may contradict itself. Then the options that the reason names are neither given above it nor left out.
    let reason = error.to_string().replace('-', "_");
    let words = reason.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: BTreeSet<&str> = words.map(|word| word.trim_matches('_')).collect();
    let named = || parsed.known.iter().filter(|name| *name != option && words.contains(name.as_str()));
    let is_above = |name: &String| parsed.above.contains(name) || moot.contains(name);
    let contradicts_itself = parsed.is_file && named().next().is_some() && !named().any(is_above);
    (!contradicts_itself).then(|| option.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Program;

    #[test]
    fn a_flag_makes_moot_what_it_is_the_reason_for_and_a_file_may_not_contradict_itself() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let parsed = Parsed {
            overridable: names(&["eval_steps", "metric"]),
            known: names(&["eval_steps", "eval_strategy", "metric", "keep_best", "beta"]),
            above: names(&["eval_strategy", "beta"]),
            is_file: true,
            ..Parsed::default()
        };
        let invocation = Invocation::new(Program::new("train-demo", ""), &parsed);
        let of = |option: &str, because: &str, parsed: &Parsed<()>, moot: &[&str]| {
            let error = anyhow::Error::from(align_stage::Error::no_effect(option, because));
            made_moot(&error, parsed, &names(moot), &invocation)
        };
        let moot = |option: &str, because: &str| of(option, because, &parsed, &[]);
        assert_eq!(moot("eval_steps", "with `eval_strategy` no").as_deref(), Some("eval_steps"));
        assert_eq!(moot("eval_steps", "with --eval-strategy=no").as_deref(), Some("eval_steps"));
        assert_eq!(moot("eval_steps", "there is nothing to evaluate").as_deref(), Some("eval_steps"));
        assert_eq!(moot("metric", "without keep_best"), None, "which no flag says");
        assert_eq!(moot("metric", "without `--keep-best`"), None);
        assert_eq!(of("metric", "without keep_best", &parsed, &["keep_best"]).as_deref(), Some("metric"));
        assert_eq!(moot("beta", "without keep_best"), None, "it is a flag");
        let recipe = Parsed { is_file: false, ..parsed.clone() };
        assert_eq!(of("metric", "without keep_best", &recipe, &[]).as_deref(), Some("metric"));
    }
}
