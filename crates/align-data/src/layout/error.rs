//! What can be wrong between the name of a data set and the files of a split.

use crate::formats::READ;

/// The reason why a data set has no such split or config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A card whose YAML cannot be read, or means nothing.
    #[error("README.md: {0}")]
    Card(String),
    /// A config that does not exist.
    #[error(
        "no config `{config}`; {}",
        names("it has", found, "it has no configs: leave out --dataset-config")
    )]
    NoConfig {
        /// The name asked for.
        config: String,
        /// The configs there are.
        found: Vec<String>,
    },
    /// Several configs, none of which is the default.
    #[error("a config has to be named with --dataset-config; {}", names("it has", found, "it has none"))]
    ConfigNeeded {
        /// The configs there are.
        found: Vec<String>,
    },
    /// A split that does not exist.
    #[error("no split `{split}`; {}", names("it has", found, &format!("it has no data files (read are {READ})")))]
    NoSplit {
        /// The name asked for.
        split: String,
        /// The splits there are.
        found: Vec<String>,
    },
}

fn names(before: &str, names: &[String], none: &str) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return none.to_owned();
    }
    let name = |name: &String| format!("`{}`", name.chars().take(60).collect::<String>());
    let shown: Vec<String> = names.iter().take(SHOWN).map(name).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{before} {}{more}", shown.join(", "))
}
