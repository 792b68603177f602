//! Conclusions as sentences, drawn from the figures and never without them.

use crate::format::{p_value, percent, percent_interval};
use crate::{Comparison, HackingVerdict, ModelFigures, WinRate};

/// What a win rate allows one to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Better,
    Worse,
    /// The interval contains one half, or so few prompts could have said so by chance.
    Undecided,
}

/// The probability of chance from which nothing is decided, whatever the interval: that of a few prompts is too narrow.
const CHANCE: f64 = 0.05;

impl Standing {
    pub(crate) fn of(wins: &WinRate) -> Self {
        match wins.ci95 {
            _ if wins.p_value.is_some_and(|p| p >= CHANCE) => Self::Undecided,
            [low, _] if low > 0.5 => Self::Better,
            [_, high] if high < 0.5 => Self::Worse,
            _ => Self::Undecided,
        }
    }

    /// For a class in the page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Undecided => "undecided",
        }
    }

    pub(crate) fn words(self, baseline: &str) -> String {
        match self {
            Self::Better => format!("better than {baseline}"),
            Self::Worse => format!("worse than {baseline}"),
            Self::Undecided => format!("not to be told from {baseline}"),
        }
    }
}

/// One sentence per model that is not the baseline.
pub(crate) fn headlines(comparison: &Comparison) -> Vec<String> {
    let others = comparison.models.iter().filter(|model| model.name != comparison.baseline);
    others.filter_map(|model| Some(headline(comparison, model, model.win_rate.as_ref()?))).collect()
}

fn headline(comparison: &Comparison, model: &ModelFigures, wins: &WinRate) -> String {
    let standing = Standing::of(wins).words(&comparison.baseline);
    let p = wins.p_value.map(|p| format!(", {}", p_value(p))).unwrap_or_default();
    let mut text = format!(
        "{} is {standing}: it wins {} of {} (95 % interval {}{p}).",
        model.name,
        percent(wins.rate),
        comparison.compared(),
        percent_interval(wins.ci95)
    );
    if let Some(controlled) = wins.length_controlled
        && (controlled > 0.5) != (wins.rate > 0.5)
        && Standing::of(wins) != Standing::Undecided
    {
        text += &format!(" At equal length it would be {}: length decided.", percent(controlled));
    }
    text
}

/// The word for a conclusion.
pub(crate) fn hacking(verdict: HackingVerdict) -> &'static str {
    match verdict {
        HackingVerdict::Healthy => "no sign of reward hacking",
        HackingVerdict::Suspicious => "signs of reward hacking",
        HackingVerdict::Hacked => "the reward was hacked",
        HackingVerdict::Undecided => "the log does not allow a conclusion",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wins(rate: f64, ci95: [f64; 2], length_controlled: Option<f64>) -> WinRate {
        WinRate {
            wins: 0,
            ties: 0,
            losses: 0,
            rate,
            ci95,
            p_value: Some(0.004),
            length_controlled,
            length_controlled_ci95: None,
            order_consistency: None,
        }
    }

    #[test]
    fn nobody_is_called_better_unless_the_interval_says_so() {
        assert_eq!(Standing::of(&wins(0.6, [0.52, 0.68], None)), Standing::Better);
        assert_eq!(Standing::of(&wins(0.6, [0.5, 0.7], None)), Standing::Undecided);
        assert_eq!(Standing::of(&wins(0.4, [0.31, 0.49], None)), Standing::Worse);
        let by_chance = WinRate { p_value: Some(0.5), ..wins(0.375, [0.375, 0.375], None) };
        assert_eq!(Standing::of(&by_chance), Standing::Undecided);
    }

    #[test]
    fn several_answers_to_a_prompt_are_said_to_be_that() {
        let model = ModelFigures { name: "ppo".to_owned(), ..ModelFigures::default() };
        let comparison = crate::Comparison { answers_per_prompt: 4, ..crate::sample::comparison() };
        let text = headline(&comparison, &model, &wins(0.7, [0.6, 0.8], None));
        assert!(text.contains("it wins 70.0 % of 800 answers to 200 prompts (95 %"), "{text}");
    }

    #[test]
    fn a_win_by_length_alone_is_called_one() {
        let model = ModelFigures { name: "ppo".to_owned(), ..ModelFigures::default() };
        let comparison = crate::sample::comparison();
        let text = headline(&comparison, &model, &wins(0.7, [0.6, 0.8], Some(0.45)));
        assert!(text.contains("ppo is better than sft") && text.ends_with("length decided."), "{text}");
        assert!(!headline(&comparison, &model, &wins(0.7, [0.6, 0.8], Some(0.6))).contains("length"));
    }
}
