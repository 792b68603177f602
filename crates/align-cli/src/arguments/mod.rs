//! From the words of a command line to one checked struct of options.
//!
//! clap is the schema: a binary's options are one struct that flattens the option structs of its
//! components, and everything else here is derived from it. A TOML or YAML file is written-down flags, so a
//! key of a file and a flag of the command line go through the same parser and can never differ in
//! meaning. Three layers, the higher winning key by key (of options that say the same in other units, such as `max_steps`
//! and `num_train_epochs`, the one in the higher layer):
//!
//! 1. the command line;
//! 2. `--config FILE`, or the options of the run that is resumed, or, when the caller names neither a model nor a
//!    data set nor a file, the recipe that is built into the binary;
//! 3. the defaults in the struct.
//!
//! Not done here: reading the model or the data; nothing in this module looks further than the
//! config file, and nothing is printed.

mod argv;
mod files;
mod foreign;
mod layer;
mod message;
mod names;
mod optim;
mod said;
mod schema;
mod settings;
mod value;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use said::Said;
use schema::Schema;

/// What a program says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The command's name, such as `train-dpo`, or `align dpo`.
    pub name: &'static str,
    /// One sentence for the top of `--help`.
    pub about: &'static str,
    /// The lowest layer when neither model, data set nor config file is named.
    pub recipe: Option<Recipe>,
    /// The options that `-h` shows, in lists, as they are written on the command line; `--help` shows all.
    pub essentials: &'static [&'static [&'static str]],
}

/// What a program does when nobody says what to do.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Its options, as a TOML file.
    pub text: &'static str,
    /// Brings the files that it names below [`FILES`], and says in which directory they are; by default the current one.
    pub files: Option<fn() -> std::io::Result<PathBuf>>,
}

/// The directory of files that recipes name.
const FILES: &str = "fixtures/";

impl Program {
    /// A program without a recipe, whose help is short.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, recipe: None, essentials: &[] }
    }

    /// The same with a recipe, whose files are in the current directory.
    #[must_use]
    pub const fn with_recipe(self, text: &'static str) -> Self {
        Self { recipe: Some(Recipe { text, files: None }), ..self }
    }

    /// The same with a short help of these options.
    #[must_use]
    pub const fn with_essentials(self, essentials: &'static [&'static [&'static str]]) -> Self {
        Self { essentials, ..self }
    }
}

/// The program's options as a command of clap's, for completions and manual pages.
pub(crate) fn command<C: clap::Args>(program: &Program) -> clap::Command {
    Schema::of::<C>(program).into_command()
}

/// Options as a program receives them.
#[derive(Debug, Clone, Default)]
pub struct Parsed<C> {
    /// The checked options.
    pub options: C,
    /// Every option with its value, as a TOML file that `--config` accepts and that gives the same
    /// options again. Left out is what concerns one call only: `config`, `output_dir`,
    /// `overwrite_output_dir`, `resume_from_checkpoint`, `dry_run`, `inspect`, `quiet`, `json`.
    pub settings: String,
    /// Names (`label_smoothing`) of the options that a flag or the config file sets to something other
    /// than the default: what a method can refuse because it would have no effect.
    pub given: BTreeSet<String>,
    /// Names of all options that the program has.
    pub known: BTreeSet<String>,
    /// Names of the options that only the config file or the recipe gives, where the command line says what is to be done
    /// otherwise than there.
    pub(crate) overridable: BTreeSet<String>,
    /// Names of the options that the command line gives.
    pub(crate) above: BTreeSet<String>,
    /// The layer below the command line, as messages call it.
    pub(crate) below: &'static str,
    /// Whether that is a file that somebody wrote.
    pub(crate) is_file: bool,
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
    /// Several things are wrong with them; a line for each.
    #[error("{}", .0.join("; "))]
    Several(Vec<String>),
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
    parse_without(program, argv, &BTreeSet::new())
}

/// The same without the options of these names in the config file or the recipe.
pub(crate) fn parse_without<C: clap::Args>(
    program: &Program,
    argv: impl IntoIterator<Item = impl Into<OsString>>,
    left_out: &BTreeSet<String>,
) -> Result<Parsed<C>, ArgumentError> {
    let schema = Schema::of::<C>(program);
    let mut said = Said::default();
    let words = argv.into_iter().skip(1).map(Into::into);
    let line = argv::normalise(&schema, words, &mut said);
    if let Some(help) = schema.matches(line.flags.clone()).err().and_then(|error| message::help(&error)) {
        return Err(ArgumentError::Help(help)); // also where the config file is wrong
    }
    let mut lower = Layer::below(&schema, program, &line, &mut said);
    said.checked()?;
    lower.settings.retain(|setting| !line.replaces(&setting.id) && !left_out.contains(&setting.name()));
    let is_recipe = lower.name == RECIPE;
    let flags = |lower: &Layer| -> Vec<OsString> {
        // After the file's, because a positional argument or `--` of the user must stay last.
        lower.settings.iter().flat_map(layer::Setting::flags).chain(line.flags.clone()).collect()
    };
    let mut matches = schema.matches(flags(&lower)).map_err(|error| message::of_clap(&error))?;
    if let Some(files) = program.recipe.and_then(|recipe| recipe.files).filter(|_| is_recipe) {
        // What is wrong with the command line is known by now: files are brought for a run only.
        let files = files().map_err(|error| invalid(format!("the built-in example: {error}")))?;
        lower.settings.iter_mut().for_each(|setting| setting.move_files(FILES, &files));
        matches = schema.matches(flags(&lower)).map_err(|error| message::of_clap(&error))?;
    }
    if program.recipe.is_some() && !is_recipe {
        require_inputs(&schema, &matches)?;
    }
    let options = C::from_arg_matches(&matches).map_err(|error| message::of_clap(&error))?;
    let mut given = line.given.clone();
    if !is_recipe {
        given.extend(lower.settings.iter().map(|setting| setting.id.clone()));
    }
    let moot =
        |setting: &&layer::Setting| settings::may_be_moot(&schema, &setting.id, &line.given, is_recipe);
    let overridable = lower.settings.iter().filter(moot).map(layer::Setting::name).collect();
    Ok(Parsed {
        overridable,
        above: line.given.clone(),
        below: lower.name,
        is_file: lower.name == FILE,
        options,
        settings: settings::to_toml(&schema, program, &matches),
        given: settings::not_default(&schema, &matches, &given),
        known: schema.options().map(|arg| arg.get_id().to_string()).collect(),
        notices: said.notices,
    })
}

/// The name that is most like a word, if any is alike.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes time by the product of both lengths, and what is much longer than any name is like none.
    if word.len() > LONGEST_NAME {
        return None;
    }
    // Jaro-Winkler favours a common beginning, as typing errors have; 0.8 keeps out mere namesakes. It thinks little of two
    // letters changed over in a short word.
    let likeness = |name: &str| match strsim::osa_distance(name, word) {
        0 | 1 => 1.0,
        _ => strsim::jaro_winkler(name, word),
    };
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Bytes of a word that may be meant for a name.
const LONGEST_NAME: usize = 200;

/// Bytes of the largest config file: every option takes a hundredth.
const LARGEST_CONFIG: u64 = 1 << 20;

/// What lies below the command line.
struct Layer {
    settings: Vec<layer::Setting>,
    /// What messages call it.
    name: &'static str,
}

const FILE: &str = "the config file";
const RESUMED: &str = "the run that is resumed";
const RECIPE: &str = "the built-in recipe";

impl Layer {
    /// The config file's settings, or those of the run that is resumed, or the recipe's, or none.
    fn below(schema: &Schema, program: &Program, line: &argv::Line, said: &mut Said) -> Self {
        let mut file = |path: &Path, option: &str, name| {
            let settings = match align_files::read_to_string(path, LARGEST_CONFIG) {
                Ok(text) => layer::read(schema, &path.display().to_string(), &text, line, said),
                Err(error) => {
                    said.problems.push(format!("{option} {error}"));
                    Vec::new()
                }
            };
            Self { settings, name }
        };
        if let Some(path) = &line.config {
            return file(path, "--config", FILE);
        }
        if let Some(path) = line.resumed_settings() {
            let layer = file(&path, "--resume-from-checkpoint", RESUMED);
            said.notices.push(format!("options that are not given are those of {}", path.display()));
            return layer;
        }
        let names_input = inputs(schema).flatten().any(|(_, id)| line.given.contains(id));
        match program.recipe {
            Some(recipe) if !names_input => {
                let settings = layer::read(schema, "built-in recipe", recipe.text, line, said);
                Self { settings, name: RECIPE }
            }
            _ => Self { settings: Vec::new(), name: FILE },
        }
    }
}

/// The options that name what to train on, and their ids, those together of which one is enough: all or none must be given.
fn inputs(schema: &Schema) -> impl Iterator<Item = Vec<(&'static str, &str)>> {
    const INPUTS: [&[&str]; 2] = [&["model-name-or-path"], &["dataset-name", "datasets", "dataset-mixer"]];
    let known = |name: &'static str| Some((name, schema.option(name)?.get_id().as_str()));
    INPUTS
        .into_iter()
        .map(move |names| names.iter().copied().filter_map(known).collect::<Vec<_>>())
        .filter(|names| !names.is_empty())
}

/// Where the recipe stands aside, what it would have brought must be named, also if its type is `Option`.
fn require_inputs(schema: &Schema, matches: &clap::ArgMatches) -> Result<(), ArgumentError> {
    let is_missing = |names: &Vec<(&str, &str)>| names.iter().all(|(_, id)| matches.get_raw(id).is_none());
    match inputs(schema).find(is_missing) {
        Some(names) => Err(invalid(message::required(&[format!("--{}", names[0].0)]))),
        None => Ok(()),
    }
}
