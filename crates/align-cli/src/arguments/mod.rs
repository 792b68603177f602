//! From the words of a command line to one checked struct of options.
//!
//! clap is the schema: a binary's options are one struct that flattens the option structs of its
//! components, and everything else here is derived from it. A TOML file is written-down flags, so a
//! key of a file and a flag of the command line go through the same parser and can never differ in
//! meaning. Three layers, the higher winning key by key:
//!
//! 1. the command line;
//! 2. `--config FILE.toml`, or, when the caller names neither a model nor a data set nor a file, the
//!    recipe that is built into the binary;
//! 3. the defaults in the struct.
//!
//! Not done here: reading the model or the data; nothing in this module looks further than the
//! config file, and nothing is printed.

mod argv;
mod layer;
mod message;
mod names;
mod schema;
mod settings;

use std::ffi::OsString;

use clap::parser::ValueSource;
use schema::Schema;

/// What a binary says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The command's name, such as `train-dpo`.
    pub name: &'static str,
    /// One sentence for the top of `--help`.
    pub about: &'static str,
    /// TOML text used as the lowest layer when neither model, data set nor config file is named.
    pub recipe: Option<&'static str>,
}

impl Program {
    /// The name without its verb: `dpo` for `train-dpo`. Names the directories under `runs/`.
    pub fn stage(&self) -> &'static str {
        self.name.strip_prefix("train-").unwrap_or(self.name)
    }
}

/// Options as a program receives them.
#[derive(Debug, Clone)]
pub struct Parsed<C> {
    /// The checked options.
    pub options: C,
    /// Every option with its value, as a TOML file that `--config` accepts and that gives the same
    /// options again. Left out is what concerns one call only: `config`, `output_dir`,
    /// `overwrite_output_dir`, `resume_from_checkpoint`, `dry_run`, `inspect`.
    pub settings: String,
    /// Things the user should know but that stop nothing, such as an old name of an option.
    pub notices: Vec<String>,
}

/// Why there are no options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not a mistake: `--help` or `--version` was asked for; the text belongs on stdout.
    #[error("{0}")]
    Help(String),
    /// The command line or the config file is wrong; one line that says where and what to do.
    #[error("{0}")]
    Invalid(String),
}

pub(crate) fn invalid(message: impl Into<String>) -> ArgumentError {
    ArgumentError::Invalid(message.into())
}

/// Parses `argv` (program name first) into `C`.
///
/// Accepted spellings: `--learning-rate 1e-4`, `--learning_rate=1e-4`; switches as `--x`, `--x=true`
/// or `--x true` (also `yes`, `no`, `1`, `0`, any case); lists as `--x a,b` where the option declares
/// `value_delimiter = ','`, or by repeating. A plain `bool` field is enough for all three spellings of
/// a switch: this function rewrites clap's flag into an optional value.
///
/// # Errors
/// [`ArgumentError::Help`] for `--help` and `--version`, else one line naming the flag or
/// `file:line` of the offending key.
pub fn parse<C: clap::Args>(
    program: &Program,
    argv: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Parsed<C>, ArgumentError> {
    let schema = Schema::of::<C>(program);
    let mut notices = Vec::new();
    let argv = argv.into_iter().skip(1).map(Into::into);
    let flags = argv::normalise(&schema, argv, &mut notices)?;

    let given = schema.lenient_matches(flags.clone())?;
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let lower = lower_layer(&schema, program, &given, &is_given, &mut notices)?;

    let mut all: Vec<OsString> =
        lower.iter().filter(|setting| !is_given(&setting.id)).flat_map(layer::Setting::flags).collect();
    // Below the command line: a positional argument or `--` of the user must stay last.
    all.extend(flags);
    let matches = schema.matches(all).map_err(|error| message::of_clap(&error, None))?;
    let options = C::from_arg_matches(&matches).map_err(|error| message::of_clap(&error, None))?;
    Ok(Parsed { options, settings: settings::to_toml(&schema, program, &matches), notices })
}

/// The config file's settings, or the recipe's, or none.
fn lower_layer(
    schema: &Schema,
    program: &Program,
    given: &clap::ArgMatches,
    is_given: &dyn Fn(&str) -> bool,
    notices: &mut Vec<String>,
) -> Result<Vec<layer::Setting>, ArgumentError> {
    let config = schema.option("config").map(|arg| arg.get_id().as_str());
    if let Some(path) = config.filter(|id| is_given(id)).and_then(|id| given.get_raw(id)?.next()) {
        let text = std::fs::read_to_string(path)
            .map_err(|error| invalid(format!("--config {}: {error}", path.display())))?;
        return layer::read(schema, &path.display().to_string(), &text, notices);
    }
    let names_input = ["model-name-or-path", "dataset-name"]
        .iter()
        .any(|name| schema.option(name).is_some_and(|arg| is_given(arg.get_id().as_str())));
    match program.recipe {
        Some(recipe) if !names_input => layer::read(schema, "built-in recipe", recipe, notices),
        _ => Ok(Vec::new()),
    }
}
