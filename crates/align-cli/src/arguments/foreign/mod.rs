//! Options that other programs have and none here: with which values they ask for what is done anyway.
//!
//! Command lines and recipes of TRL, transformers and Axolotl write them out. With an idle value they are left out, and named
//! in a notice; with any other they are refused with what is here instead, since what is asked for would not be done.

mod table;

use std::ffi::OsStr;

use super::names;
use table::{FAMILIES, OPTIONS};

/// The values that ask for what is done anyway.
#[derive(Debug, Clone, Copy)]
enum Idle {
    /// None.
    Never,
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
    /// Whatever is said: it changes no result.
    Any,
}

impl Idle {
    fn is_switch(self) -> bool {
        matches!(self, Self::Off | Self::On | Self::Either)
    }

    fn has(self, value: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Off => names::truth(value) == Some(false),
            Self::On => names::truth(value) == Some(true),
            Self::Either => names::truth(value).is_some(),
            Self::Count => value.parse::<u32>().is_ok(),
            Self::Words(words) => words.contains(&value),
            Self::Any => true,
        }
    }
}

/// An option that no program here has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreign {
    idle: Idle,
    /// What is done anyway, or what is here instead.
    because: &'static str,
    /// Whether it was written as `--no-name`, as Python's parsers write a switch that is off.
    is_negated: bool,
}

impl Foreign {
    /// The option of this name, if it is known.
    pub(super) fn of(name: &str) -> Option<Self> {
        let dashed = name.replace('_', "-");
        let family = |name: &str| FAMILIES.iter().find(|(family, ..)| name.starts_with(family));
        let find = |name: &str| OPTIONS.iter().find(|(option, ..)| *option == name).or_else(|| family(name));
        let option = |&(_, idle, because): &table::Row, is_negated| Self { idle, because, is_negated };
        let negated = || dashed.strip_prefix("no-").and_then(find).map(|found| option(found, true));
        find(&dashed).map(|found| option(found, false)).or_else(negated)
    }

    /// Whether the word after the option is its value.
    pub(super) fn takes(self, next: &OsStr) -> bool {
        let next = next.to_str().unwrap_or_default();
        match self.idle.is_switch() {
            true => !self.is_negated && names::truth(next).is_some(),
            false => !next.starts_with("--"),
        }
    }

    /// Why the option can be left out, if with this value, or as a switch without one, it asks for what is done anyway.
    pub(super) fn idle(self, value: Option<&str>) -> Option<&'static str> {
        let is_switch = self.idle.is_switch();
        let value = match (self.is_negated, value) {
            (true, None) if is_switch => "false",
            (true, _) => return None,
            (false, None) if is_switch => "true",
            (false, None) if matches!(self.idle, Idle::Any) => "",
            (false, value) => value?,
        };
        self.idle.has(value).then_some(self.because)
    }

    /// Why it is refused with any other value; `written` is the option with that, as the user has it.
    pub(super) fn refusal(self, written: &str) -> String {
        format!("`{written}` has no effect here: {}; remove it", self.because)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_there_once_and_as_they_are_looked_up() {
        let mut names = BTreeSet::new();
        for (name, _, because) in OPTIONS.iter().chain(FAMILIES) {
            assert!(names.insert(name), "{name} stands twice");
            assert!(!name.contains('_') && !because.is_empty(), "{name}");
        }
    }
}
