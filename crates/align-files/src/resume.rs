//! What a run goes on from. The option is a word or a path; it is read once, here, and never again.

use std::path::{Path, PathBuf};

/// `resume_from_checkpoint`, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// A new run.
    #[default]
    No,
    /// The last complete checkpoint in the output directory.
    Last,
    /// A checkpoint by its path.
    From(PathBuf),
}

impl Resume {
    /// `false`, `no` and nothing are no resume, `last` and `true` the last checkpoint, whatever lies in the current
    /// directory under such a name; everything else is a path.
    pub fn parse(option: Option<&str>) -> Self {
        match option {
            None | Some("false" | "no" | "") => Self::No,
            Some("last" | "true") => Self::Last,
            Some(path) => Self::From(PathBuf::from(path)),
        }
    }

    /// The run that a checkpoint belongs to: the directory around it, in the spelling of the user where theirs has one.
    pub fn run_of(checkpoint: &Path) -> PathBuf {
        match checkpoint.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) if checkpoint.file_name().is_some() => parent.to_owned(),
            _ => checkpoint
                .canonicalize()
                .ok()
                .and_then(|path| path.parent().map(Path::to_owned))
                .unwrap_or("/".into()),
        }
    }

    /// Whether this goes on in `directory`: from its last checkpoint, or from one that lies directly in it.
    pub(crate) fn continues(&self, directory: &Path) -> bool {
        match self {
            Self::No => false,
            Self::Last => true,
            Self::From(checkpoint) => match (checkpoint.canonicalize(), directory.canonicalize()) {
                (Ok(checkpoint), Ok(directory)) => checkpoint.parent() == Some(&directory),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_words_and_the_rest_are_paths() {
        for word in ["false", "no", ""] {
            assert_eq!(Resume::parse(Some(word)), Resume::No);
        }
        assert_eq!(Resume::parse(None), Resume::No);
        assert_eq!(Resume::parse(Some("last")), Resume::Last);
        assert_eq!(Resume::parse(Some("true")), Resume::Last);
        assert_eq!(Resume::parse(Some("False")), Resume::From("False".into()));
        assert_eq!(Resume::parse(Some("./last")), Resume::From("./last".into()));
    }
}
