//! The options that a binary has, as questions to its clap command.
//!
//! The command is adjusted once: switches take an optional value, so that a `bool` field needs no
//! attributes. No table of options exists beside the structs.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Program;

const SPELLING: &str = "Every option can also stand in a file for --config, as `learning_rate = 1e-6` (TOML) or \
                        `learning_rate: 1e-6` (.yaml); flags override the file.";
const RECIPE: &str = "Without model, data set and file the built-in example runs.";

/// A binary's options.
pub(super) struct Schema {
    command: Command,
}

/// What kind of value an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Integer,
    Number,
    Text,
    /// A type of the component's own, which reads its value from text.
    Parsed,
}

impl Schema {
    pub(super) fn of<C: clap::Args>(program: &Program) -> Self {
        let command = C::augment_args(Command::new(program.name)).mut_args(|arg| match kind(&arg) {
            Kind::Switch if !arg.is_positional() => with_optional_value(arg),
            kind => with_short_value_name(arg, kind),
        });
        // After the structs, whose own doc comments clap would otherwise take for the program's.
        let mut command =
            command.about(program.about).long_about(None::<&str>).version(env!("CARGO_PKG_VERSION"));
        let takes_files = command.get_arguments().any(|arg| arg.get_id() == "config");
        let spelling = if takes_files { SPELLING } else { "" };
        let recipe = if program.recipe.is_some() { RECIPE } else { "" };
        command = command.after_long_help(format!("{spelling} {recipe}").trim().to_owned());
        if !program.essentials.is_empty() {
            let is_essential = |arg: &Arg| {
                arg.get_long().is_none_or(|long| program.essentials.iter().any(|list| list.contains(&long)))
            };
            command =
                command.mut_args(|arg| if is_essential(&arg) { arg } else { arg.hide_short_help(true) });
            let all = command.get_arguments().count();
            command =
                command.after_help(format!("--help shows all {all} options. {recipe}").trim().to_owned());
        }
        if program.recipe.is_some() && command.get_positionals().next().is_none() {
            // clap would list as required what the recipe can bring.
            command = command.override_usage(format!("{} [OPTIONS]", program.name));
        }
        Self { command }
    }

    /// The command itself.
    pub(super) fn into_command(self) -> Command {
        self.command
    }

    /// The option of this name or alias; dashes and underscores are the same.
    pub(super) fn option(&self, name: &str) -> Option<&Arg> {
        let name = name.replace('_', "-");
        self.options().find(|arg| {
            arg.get_long() == Some(&name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name.as_str()))
        })
    }

    /// All options that have a `--name`.
    pub(super) fn options(&self) -> impl Iterator<Item = &Arg> {
        self.command.get_arguments().filter(|arg| arg.get_long().is_some())
    }

    /// Parses `flags`; required options must be there.
    pub(super) fn matches(&self, flags: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
        self.command.clone().no_binary_name(true).try_get_matches_from(flags)
    }

    /// Parses the flags of one option on its own, as if nothing else were required.
    pub(super) fn check_alone(&self, flags: Vec<OsString>) -> Result<(), clap::Error> {
        let command = self.command.clone().mut_args(|arg| arg.required(false));
        match command.no_binary_name(true).try_get_matches_from(flags) {
            // The option needs another one, which may be set elsewhere.
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The kind of value that an option's parser produces.
pub(super) fn kind(arg: &Arg) -> Kind {
    let id = arg.get_value_parser().type_id();
    let is = |types: &[TypeId]| types.iter().any(|of| id == *of);
    if matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) || is(&[TypeId::of::<bool>()]) {
        Kind::Switch
    } else if is(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) {
        Kind::Number
    } else if is(&[
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<isize>(),
    ]) {
        Kind::Integer
    } else if is(&[TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<OsString>()]) {
        Kind::Text
    } else {
        Kind::Parsed
    }
}

/// Whether the option collects several values.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Whether the option takes an object or a list in JSON, which a file may write out.
pub(super) fn takes_json(arg: &Arg) -> bool {
    has_value_name(arg, |name| matches!(name, "ARGS" | "JSON"))
}

/// Whether the option takes names with values, which a file may write as a table.
pub(super) fn takes_pairs(arg: &Arg) -> bool {
    is_list(arg) && has_value_name(arg, |name| name.contains('='))
}

fn has_value_name(arg: &Arg, is_it: impl Fn(&str) -> bool) -> bool {
    arg.get_value_names().is_some_and(|names| names.iter().any(|name| is_it(name)))
}

/// Whether the option takes one value after its name.
pub(super) fn takes_one_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_num_args().is_none_or(|range| range.max_values() == 1)
}

/// `--x` alone means true, `--x=false` is possible, and the next word is never swallowed by clap (the
/// command line's normalisation joins `--x true` beforehand).
fn with_optional_value(arg: Arg) -> Arg {
    let arg = match arg.get_action() {
        ArgAction::SetTrue if arg.get_default_values().is_empty() => arg.default_value("false"),
        _ => arg,
    };
    let is_off = arg.get_default_values().iter().all(|default| default == "false");
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(BoolishValueParser::new())
        .value_name("BOOL")
        .hide_possible_values(true)
        .hide_default_value(is_off)
}

/// clap's own choice repeats the option's name; with long names that makes a list hard to read.
fn with_short_value_name(arg: Arg, kind: Kind) -> Arg {
    let is_repeated = arg
        .get_value_names()
        .is_some_and(|names| names.iter().all(|name| name.to_lowercase() == arg.get_id().as_str()));
    if !is_repeated || arg.get_id().as_str().len() <= "max_steps".len() {
        return arg;
    }
    arg.value_name(match kind {
        Kind::Integer => "N",
        Kind::Number => "NUMBER",
        Kind::Switch | Kind::Text | Kind::Parsed => "VALUE",
    })
}
