//! clap's errors as one line: what was expected, what was found, what to do.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{ArgumentError, invalid};

/// The text to print if the "error" is that help or the version was asked for.
pub(super) fn help(error: &clap::Error) -> Option<String> {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    is_help.then(|| error.to_string())
}

/// Translates an error of the command line.
pub(super) fn of_clap(error: &clap::Error) -> ArgumentError {
    help(error).map_or_else(|| invalid(line(error, None)), ArgumentError::Help)
}

/// The one line; `key` replaces the flag's name where the value comes from a config file.
pub(super) fn line(error: &clap::Error, key: Option<&str>) -> String {
    let flag = text(error, ContextKind::InvalidArg).map(|arg| flag_name(&arg));
    let name = key.map(str::to_owned).or(flag).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let missing = value.is_empty();
    match error.kind() {
        ErrorKind::MissingRequiredArgument => missing_required(error),
        ErrorKind::InvalidValue if missing => format!("`{name}` expects a value, found none"),
        ErrorKind::InvalidValue => {
            let expected = text(error, ContextKind::ValidValue).unwrap_or_default();
            let near = text(error, ContextKind::SuggestedValue);
            // What is most like it in letters is another method.
            let near =
                if value == "dpo" && expected.contains("sigmoid") { Some("sigmoid".into()) } else { near };
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            format!("`{name}` expects one of {expected}; found `{value}`{hint}")
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map_or("not valid".into(), ToString::to_string);
            format!("`{name}` cannot be `{value}`: {reason}")
        }
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            Some(prior) if flag_name(&prior) == name => format!("`{name}` is given twice; keep one"),
            Some(prior) => format!("`{name}` and `{}` exclude each other; keep one", flag_name(&prior)),
            None => first_line(error),
        },
        ErrorKind::UnknownArgument => {
            format!("unexpected argument `{name}`; options start with `--`, `--help` lists them")
        }
        _ => first_line(error),
    }
}

/// What to say where options are missing.
pub(super) fn required(names: &[String]) -> String {
    let are = if names.len() == 1 { "is" } else { "are" };
    format!("`{}` {are} required; give it here or in a `--config` file", names.join("` and `"))
}

fn missing_required(error: &clap::Error) -> String {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(args)) => {
            required(&args.iter().map(|arg| flag_name(arg)).collect::<Vec<_>>())
        }
        _ => first_line(error),
    }
}

/// `--beta <BETA>` → `--beta`.
fn flag_name(arg: &str) -> String {
    arg.split([' ', '=', '[']).next().unwrap_or(arg).to_owned()
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(many) if many.is_empty() => None,
        ContextValue::Strings(many) => Some(many.join(", ")),
        _ => None,
    }
}

fn first_line(error: &clap::Error) -> String {
    let rendered = error.to_string();
    rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
