//! Values of other programs' options that ask for what is done anyway: `--fp16 false`, `--packing false`.
//!
//! Command lines of TRL and transformers write them out. They are passed over with a notice; any other value of these
//! options is refused, and so is an option that is not listed here ([`super::names`]): what is asked for would not be done.

use std::ffi::OsStr;

use super::names;

/// The values that ask for what is done anyway.
#[derive(Debug, Clone, Copy)]
enum Idle {
    /// A switch that is off.
    Off,
    /// A switch that is on.
    On,
    /// A switch, on or off: the result is the same.
    Either,
    /// Any number: it moves work between processes and changes no result.
    Count,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// Options of TRL and transformers, all in the table of those without effect, and the values of theirs that are idle.
const IDLE: &[(&str, Idle)] = &[
    ("fp16", Idle::Off),
    ("tf32", Idle::Off),
    ("bf16-full-eval", Idle::Off),
    ("fp16-full-eval", Idle::Off),
    ("use-vllm", Idle::Off),
    ("adafactor", Idle::Off),
    ("activation-offloading", Idle::Off),
    ("use-liger-kernel", Idle::Off),
    ("torch-compile", Idle::Off),
    ("trust-remote-code", Idle::Off),
    ("packing", Idle::Off),
    ("padding-free", Idle::On),
    ("dataloader-num-workers", Idle::Count),
    ("dataloader-prefetch-factor", Idle::Count),
    ("dataloader-pin-memory", Idle::Either),
    ("dataset-num-proc", Idle::Count),
    ("dataset-streaming", Idle::Off),
    ("remove-unused-columns", Idle::Either),
    ("ignore-data-skip", Idle::Off),
    ("save-safetensors", Idle::On),
    ("disable-dropout", Idle::On),
    ("generate-during-eval", Idle::Off),
    ("push-to-hub", Idle::Off),
    ("local-rank", Idle::Words(&["-1"])),
];

impl Idle {
    fn is_switch(self) -> bool {
        matches!(self, Self::Off | Self::On | Self::Either)
    }

    fn has(self, value: &str) -> bool {
        match self {
            Self::Off => names::truth(value) == Some(false),
            Self::On => names::truth(value) == Some(true),
            Self::Either => names::truth(value).is_some(),
            Self::Count => value.parse::<u32>().is_ok(),
            Self::Words(words) => words.contains(&value),
        }
    }
}

/// An option that no program here has, with the values that it may be given idly.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleOption {
    name: &'static str,
    values: Idle,
    /// Whether it was written as `--no-name`.
    is_negated: bool,
}

impl IdleOption {
    /// The option of this name, if it has idle values.
    pub(super) fn of(name: &str) -> Option<Self> {
        let dashed = name.replace('_', "-");
        let find = |name: &str| IDLE.iter().find(|(idle, _)| *idle == name);
        let option = |&(name, values), is_negated| Self { name, values, is_negated };
        let negated = || dashed.strip_prefix("no-").and_then(find).filter(|(_, values)| values.is_switch());
        find(&dashed).map(|found| option(found, false)).or_else(|| negated().map(|found| option(found, true)))
    }

    /// Whether the word after the option is its value.
    pub(super) fn takes(self, next: &OsStr) -> bool {
        let next = next.to_str().unwrap_or_default();
        match self.values.is_switch() {
            true => !self.is_negated && names::truth(next).is_some(),
            false => !next.starts_with("--"),
        }
    }

    /// The notice to give if the value, or the switch without one, asks for what is done anyway; `written` is the option
    /// with it, as the user has it.
    pub(super) fn notice(self, value: Option<&str>, written: &str) -> Option<String> {
        let value = match (self.is_negated, value) {
            (true, None) => "false",
            (true, Some(_)) => return None,
            (false, None) if self.values.is_switch() => "true",
            (false, value) => value?,
        };
        let because = names::ineffective(self.name).filter(|_| self.values.has(value))?;
        Some(format!("`{written}` is not needed and is left out: {because}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_idle_values_is_refused_with_any_other() {
        for (name, _) in IDLE {
            assert!(names::ineffective(name).is_some(), "{name}");
        }
    }
}
