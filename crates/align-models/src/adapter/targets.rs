//! Which modules get an adapter, by PEFT's rules.

use fancy_regex::{Regex, RegexBuilder};

use super::{LoraConfig, Modules};
use crate::{Error, Result};

/// Steps back that a pattern may take over one name.
const STEPS: usize = 100_000;

/// What [`LoraConfig`] says of a module's name.
pub(super) struct Targets<'a> {
    config: &'a LoraConfig,
    chosen: Choice<'a>,
    excluded: Option<Choice<'a>>,
    saved: Vec<Regex>,
    layer: Vec<Regex>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
}

enum Choice<'a> {
    AllLinear,
    Names(&'a [String]),
    Pattern(Regex),
}

impl<'a> Targets<'a> {
    /// # Errors
    /// A pattern that is none.
    pub(super) fn new(config: &'a LoraConfig) -> Result<Self> {
        let ends_with = |option, pattern: &str| regex(option, pattern, &format!(r"(?:.*\.)?(?:{pattern})"));
        let numbered = |pattern: &String| {
            regex("layers_pattern", pattern, &format!(r"(?:.*?\.)?(?:{pattern})\.(?P<index>\d+)\..*"))
        };
        let mut layer = config.layers_pattern.iter().map(numbered).collect::<Result<Vec<_>>>()?;
        if layer.is_empty() {
            layer.push(regex("layers_pattern", "", r".*?\.[^.]*\.(?P<index>\d+)\..*")?);
        }
        let within =
            |module: &String| regex("modules_to_save", module, &format!(r"(?:.*\.)?(?:{module})(?:\..*)?"));
        Ok(Self {
            chosen: Choice::new("target_modules", &config.target_modules)?,
            excluded: config
                .exclude_modules
                .as_ref()
                .map(|it| Choice::new("exclude_modules", it))
                .transpose()?,
            saved: config.modules_to_save.iter().map(within).collect::<Result<_>>()?,
            layer,
            ranks: config
                .rank_pattern
                .iter()
                .map(|(pattern, rank)| Ok((ends_with("rank_pattern", pattern)?, *rank)))
                .collect::<Result<_>>()?,
            alphas: config
                .alpha_pattern
                .iter()
                .map(|(pattern, alpha)| Ok((ends_with("alpha_pattern", pattern)?, *alpha)))
                .collect::<Result<_>>()?,
            config,
        })
    }

    /// Whether the module gets an adapter; `is_linear` says that it is one of the layers' products.
    pub(super) fn has(&self, module: &str, is_linear: bool) -> bool {
        if self.excluded.as_ref().is_some_and(|excluded| excluded.has(module, is_linear))
            || self.saved.iter().any(|saved| fits(saved, module))
        {
            return false;
        }
        let numbered = matches!(self.chosen, Choice::Names(_) | Choice::AllLinear);
        self.chosen.has(module, is_linear) && (!numbered || self.is_in_layers(module))
    }

    /// Rank and α of the module.
    pub(super) fn rank_and_alpha(&self, module: &str) -> (usize, f64) {
        let rank = self.ranks.iter().find(|(pattern, _)| fits(pattern, module));
        let alpha = self.alphas.iter().find(|(pattern, _)| fits(pattern, module));
        (
            rank.map_or(self.config.r, |(_, rank)| *rank),
            alpha.map_or(self.config.lora_alpha, |(_, alpha)| *alpha),
        )
    }

    fn is_in_layers(&self, module: &str) -> bool {
        if self.config.layers_to_transform.is_empty() {
            return true;
        }
        let found = self.layer.iter().find_map(|pattern| {
            let captures = pattern.captures(module).ok()??;
            captures.name("index")?.as_str().parse::<usize>().ok()
        });
        found.is_some_and(|index| self.config.layers_to_transform.contains(&index))
    }
}

impl<'a> Choice<'a> {
    fn new(option: &'static str, modules: &'a Modules) -> Result<Self> {
        Ok(match modules {
            Modules::AllLinear => Self::AllLinear,
            Modules::Names(names) => Self::Names(names),
            Modules::Pattern(pattern) => Self::Pattern(regex(option, pattern, pattern)?),
        })
    }

    fn has(&self, module: &str, is_linear: bool) -> bool {
        match self {
            Self::AllLinear => is_linear,
            Self::Names(names) => names.iter().any(|name| is_end(module, name)),
            Self::Pattern(pattern) => fits(pattern, module),
        }
    }
}

/// Whether it is the module's name, or the end of it from a dot on.
pub(super) fn is_end(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A pattern for whole names.
fn regex(option: &str, pattern: &str, whole: &str) -> Result<Regex> {
    let built = RegexBuilder::new(&format!("^(?:{whole})$")).backtrack_limit(STEPS).build();
    built.map_err(|error| {
        let shown = align_text::shortened(pattern, crate::error::SHOWN);
        Error::Config(format!("{option}: `{shown}` is no regular expression: {error}"))
    })
}

fn fits(pattern: &Regex, name: &str) -> bool {
    pattern.is_match(name).unwrap_or(false)
}
