//! Tables of a comparison: the final one, what the answers are like, and the yardsticks.

use super::{cell, figure, name};
use crate::format::{duration, interval, memory, number, p_value, percent, percent_interval, plain, signed};
use crate::table::{Cell, Table};
use crate::{Comparison, ModelFigures, PromptSet, WinRate};

/// The final table: who won, by what, at what distance and cost.
pub(crate) fn models(comparison: &Comparison) -> Table {
    let baseline = &comparison.baseline;
    let set = |model: &ModelFigures, set: &str| {
        model.prompt_sets.iter().find(|found| found.name == set).and_then(of_set)
    };
    let others = comparison.models.iter().filter(|model| model.name != *baseline);
    let is_measured = others.clone().any(|model| model.win_rate.is_some()) || others.count() == 0;
    Table::new(
        "Models",
        [
            "model",
            &format!("win rate against {baseline}"),
            "at equal length",
            "reward",
            "KL per answer",
            "safety",
            "helpfulness",
            "training time",
            "peak memory",
        ],
        comparison.models.iter().map(|model| {
            let wins = model.win_rate.as_ref().filter(|_| is_measured);
            let is_baseline = model.name == *baseline;
            [
                name(&model.name),
                wins.map(|wins| if is_baseline { Cell::new(percent(wins.rate)) } else { win_rate(wins) }),
                wins.filter(|_| !is_baseline).and_then(|wins| {
                    let cell = Cell::new(percent(wins.length_controlled?));
                    Some(match wins.length_controlled_ci95 {
                        Some(ci95) => cell.with_note(percent_interval(ci95)),
                        None => cell,
                    })
                }),
                model.reward.as_ref().map(|reward| {
                    Cell::new(number(reward.mean)).with_note(format!("deviation {}", number(reward.std)))
                }),
                model.kl_per_sequence.map(|kl| {
                    let cell = Cell::new(number(kl));
                    match model.kl_ci95 {
                        Some(ci95) => cell.with_note(interval(ci95)),
                        None => cell,
                    }
                }),
                set(model, "safety"),
                set(model, "helpfulness"),
                cell(model.train_seconds, duration),
                cell(model.peak_memory_mb, memory),
            ]
        }),
    )
}

fn win_rate(wins: &WinRate) -> Cell {
    let note = match wins.p_value {
        Some(p) => format!("{}, {}", percent_interval(wins.ci95), p_value(p)),
        None => percent_interval(wins.ci95),
    };
    Cell::new(percent(wins.rate)).with_note(note).with_bar(wins.rate)
}

/// Its win rate, or else its reward.
fn of_set(set: &PromptSet) -> Option<Cell> {
    let reward = set.reward.as_ref().map(|reward| format!("reward {}", signed(reward.mean)));
    match &set.win_rate {
        Some(wins) => Some(Cell::new(percent(wins.rate)).with_note(reward.unwrap_or_default())),
        None => reward.map(Cell::new),
    }
}

/// What the answers are like.
pub(crate) fn behaviour(comparison: &Comparison) -> Table {
    Table::new(
        "What the answers are like",
        [
            "model",
            "tokens",
            "cut off",
            "refusals",
            "duplicates",
            "distinct-1",
            "distinct-2",
            "KL per token",
            "perplexity",
            "reward with length",
            "same in both orders",
        ],
        comparison.models.iter().map(|model| {
            let correlation = model.reward.as_ref().and_then(|reward| reward.length_correlation);
            let consistency = model.win_rate.as_ref().and_then(|wins| wins.order_consistency);
            [
                name(&model.name),
                figure(model.mean_tokens),
                cell(model.truncated_rate, percent),
                cell(model.refusal_rate, percent),
                cell(model.duplicate_rate, percent),
                figure(model.distinct_1),
                figure(model.distinct_2),
                figure(model.kl_per_token),
                figure(model.perplexity),
                cell(correlation, |r| format!("r = {}", number(r))),
                cell(consistency, percent),
            ]
        }),
    )
}

/// Every set of prompts, with the intervals that its share of the prompts allows.
pub(crate) fn prompt_sets(comparison: &Comparison) -> Table {
    let rows = comparison.models.iter().flat_map(|model| {
        model.prompt_sets.iter().map(move |set| {
            [
                name(&set.name),
                name(&model.name),
                Some(Cell::new(plain(set.prompts as f64))),
                set.win_rate.as_ref().filter(|_| model.name != comparison.baseline).map(win_rate),
                cell(set.longer_wins, percent),
                cell(set.constant_answer, percent),
                figure(set.reward.as_ref().map(|reward| reward.mean)),
                cell(set.refusal_rate, percent),
            ]
        })
    });
    let mut rows: Vec<[Option<Cell>; 8]> = rows.collect();
    rows.sort_by_key(|row| row[0].as_ref().map(|cell| cell.text.clone())); // Stable: models keep their order.
    Table::new(
        "By set of prompts",
        [
            "set",
            "model",
            "prompts",
            &format!("win rate against {}", comparison.baseline),
            "longer wins",
            "one answer for all",
            "reward",
            "refusals",
        ],
        rows,
    )
}

/// Rules that read no answer.
pub(crate) fn baselines(baselines: &[crate::Baseline]) -> Table {
    Table::new(
        "Rules that read nothing",
        ["rule", "beside", "reaches", "reward", "what it does"],
        baselines.iter().map(|rule| {
            [
                name(&rule.name),
                rule.model.as_deref().and_then(name),
                Some(Cell::new(percent(rule.value)).with_bar(rule.value)),
                figure(rule.reward),
                Some(Cell::new(&rule.note)).filter(|cell| !cell.text.is_empty()),
            ]
        }),
    )
}
