//! What there is to say of a command line and of a file: things to know, and all that is wrong, not the first of it alone.

use super::{ArgumentError, foreign::Foreign};

/// What was noticed so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Things the user should know but that stop nothing.
    pub(super) notices: Vec<String>,
    /// What is wrong, a line each.
    pub(super) problems: Vec<String>,
    /// Reasons to leave options of other programs out, each with these.
    left_out: Vec<(&'static str, Vec<String>)>,
}

/// Problems that are named; what has more is no file of options.
const MOST: usize = 50;
/// Characters of an option that is quoted with its value.
const LONGEST: usize = 120;

impl Said {
    /// Takes an option that there is only elsewhere. `written` is the option with its value, `at` where it is.
    pub(super) fn foreign(&mut self, option: Foreign, value: Option<&str>, written: &str, at: &str) {
        let written = align_text::shortened(written, LONGEST);
        match option.idle(value) {
            Some(because) => {
                let line = at.rsplit_once(':').map_or(String::new(), |(_, line)| format!("line {line} "));
                let option = format!("{line}`{written}`");
                match self.left_out.iter_mut().find(|(reason, _)| *reason == because) {
                    Some((_, options)) => options.push(option),
                    None => self.left_out.push((because, vec![option])),
                }
            }
            None => self.problems.push(format!("{at}{}{}", separator(at), option.refusal(&written))),
        }
    }

    /// Whether more is wrong than will be named: to look further would take time by the length of a file.
    pub(super) fn has_enough(&self) -> bool {
        self.problems.len() > MOST
    }

    /// The end of what is read from `origin`: what was left out becomes one notice.
    pub(super) fn finish(&mut self, origin: &str) {
        let left_out = std::mem::take(&mut self.left_out);
        if !left_out.is_empty() {
            let of = |(because, options): &(&str, Vec<String>)| format!("{}: {because}", options.join(", "));
            let these = left_out.iter().map(of).collect::<Vec<_>>().join("; ");
            let separator = separator(origin);
            self.notices.push(format!("{origin}{separator}left out, as it changes no result here: {these}"));
        }
    }

    /// The error, if anything is wrong.
    pub(super) fn checked(&self) -> Result<(), ArgumentError> {
        match self.problems.as_slice() {
            [] => Ok(()),
            [problem] => Err(ArgumentError::Invalid(problem.clone())),
            [first @ .., _] if first.len() < MOST => Err(ArgumentError::Several(self.problems.clone())),
            problems => {
                let mut named = problems[..MOST].to_vec();
                named.push("and more".to_owned());
                Err(ArgumentError::Several(named))
            }
        }
    }
}

fn separator(at: &str) -> &'static str {
    if at.is_empty() { "" } else { ": " }
}
