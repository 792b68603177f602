//! `report.md`: for reviews, chats and version control.

use std::fmt::Write as _;

use crate::format::{count, duration, memory, number, percent};
use crate::preferences::left_out;
use crate::table::Table;
use crate::{Comparison, Critique, Hacking, Report, Sample, tables, words};

/// How many prompts are shown with their answers; `report.html` has the others.
const SHOWN: usize = 5;

/// Characters of a text that is shown.
const LONGEST: usize = 600;

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n", escape(&report.title));
    let cost = [report.seconds.map(duration), report.peak_memory_mb.map(memory)];
    let line: Vec<String> = std::iter::once(report.created.clone())
        .filter(|created| !created.is_empty())
        .chain(cost.into_iter().flatten())
        .collect();
    if !line.is_empty() {
        let _ = writeln!(text, "{}\n", escape(&line.join(" · ")));
    }
    for note in &report.notes {
        let _ = writeln!(text, "> {}\n", escape(note));
    }
    if let Some(comparison) = &report.comparison {
        compared(&mut text, comparison);
    }
    if !report.preferences.is_empty() {
        section(&mut text, &tables::preferences(&report.preferences));
        for line in left_out(&report.preferences) {
            let _ = writeln!(text, "{}\n", escape(&line));
        }
    }
    tables::subsets(&report.preferences).iter().for_each(|table| section(&mut text, table));
    for curve in &report.best_of {
        section(&mut text, &tables::best_of(curve));
        let (model, picks) = (escape(&curve.model), escape(&curve.reward_source));
        let _ = writeln!(text, "{model} answers, {picks} picks, {}.\n", count(curve.prompts, "prompt"));
    }
    report.hacking.iter().for_each(|run| hacking(&mut text, run));
    if let Some(critique) = &report.critique {
        criticised(&mut text, critique);
    }
    if !report.runs.is_empty() {
        section(&mut text, &tables::runs(&report.runs));
    }
    if let Some(sweep) = &report.sweep {
        section(&mut text, &tables::sweep(sweep));
    }
    text
}

fn compared(text: &mut String, comparison: &Comparison) {
    for line in words::headlines(comparison) {
        let _ = writeln!(text, "- {}", escape(&line));
    }
    text.push('\n');
    let _ = writeln!(text, "{}", tables::models(comparison).to_markdown());
    let reward =
        comparison.reward_source.as_ref().map(|name| format!("; reward: {name}")).unwrap_or_default();
    let judge = format!(
        "Judge: {} ({}){reward}. {} from {}; {}.",
        comparison.judge.name,
        comparison.judge.kind.replace('_', " "),
        comparison.compared(),
        comparison.prompt_source,
        comparison.sampling
    );
    let _ = writeln!(text, "{}\n", escape(&judge));
    if !comparison.judge.note.is_empty() {
        let _ = writeln!(text, "{}\n", escape(&comparison.judge.note));
    }
    section(text, &tables::behaviour(comparison));
    let sets = tables::prompt_sets(comparison);
    if !sets.rows.is_empty() {
        section(text, &sets);
    }
    if !comparison.baselines.is_empty() {
        section(text, &tables::baselines(&comparison.baselines));
    }
    let changed = |sample: &&Sample| {
        sample.number == 0 && sample.answers.iter().any(|answer| answer.text != sample.answers[0].text)
    };
    let shown: Vec<&Sample> = comparison.samples.iter().filter(changed).take(SHOWN).collect();
    if !shown.is_empty() {
        let _ = writeln!(text, "## Answers\n");
    }
    for sample in shown {
        let _ = writeln!(text, "**{}**\n", excerpt(&sample.prompt));
        for answer in &sample.answers {
            let verdict = answer.verdict.map(|verdict| format!(", {}", verdict.name())).unwrap_or_default();
            let reward =
                answer.reward.map(|reward| format!(", reward {}", number(reward))).unwrap_or_default();
            let _ = writeln!(text, "- {}{reward}{verdict}: {}", escape(&answer.model), excerpt(&answer.text));
        }
        text.push('\n');
    }
}

fn hacking(text: &mut String, run: &Hacking) {
    let _ = writeln!(text, "## Reward hacking: {}\n", escape(&run.run));
    let _ = writeln!(text, "**{}.** {}\n", words::hacking(run.verdict), escape(&run.summary));
    for evidence in &run.evidence {
        let _ = writeln!(text, "- {}", escape(evidence));
    }
    text.push('\n');
    if !run.correlations.is_empty() {
        let _ = writeln!(text, "{}", tables::correlations(run).to_markdown());
    }
}

fn criticised(text: &mut String, critique: &Critique) {
    section(text, &tables::principles(critique));
    let line = format!(
        "{} criticised {} of {}: {} broke a principle, {} were revised, {} could not be read.",
        critique.critic,
        count(critique.answers, "answer"),
        critique.model,
        critique.violating,
        critique.revised,
        count(critique.unreadable, "critique")
    );
    let _ = writeln!(text, "{}\n", escape(&line));
    if let (Some(before), Some(after)) = (critique.reward_before, critique.reward_after) {
        let _ = writeln!(text, "Reward {} before revision, {} after.\n", number(before), number(after));
    }
    if let Some(file) = &critique.preference_file {
        let _ = writeln!(text, "{} written to {}.\n", count(critique.pairs, "preference pair"), escape(file));
    }
}

fn section(text: &mut String, table: &Table) {
    let _ = writeln!(text, "## {}\n\n{}", escape(&table.caption), table.to_markdown());
}

fn excerpt(whole: &str) -> String {
    let cut: String = whole.trim().chars().take(LONGEST).collect();
    let rest = if whole.trim().chars().count() > LONGEST { " …" } else { "" };
    format!("{}{rest}", escape(&cut))
}

/// Text that no reader of Markdown takes for markup, on one line.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '<' | '>' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '&' => escaped.push_str("&amp;"),
            '\n' | '\t' => escaped.push(' '),
            c if align_text::is_command(c) => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A summary for the terminal: the final table and what it says.
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    if let Some(comparison) = &report.comparison {
        text += &tables::models(comparison).to_text();
        text.push('\n');
        for line in words::headlines(comparison) {
            let _ = writeln!(text, "{line}");
        }
    }
    for judge in &report.preferences {
        let [low, high] = judge.accuracy_ci95;
        let (accuracy, interval) = (percent(judge.accuracy), crate::format::percent_interval([low, high]));
        let pairs = count(judge.pairs, "pair");
        let words = judge.baselines.iter().find(|it| it.name == tables::ANSWERS_ALONE);
        let alone = words.map(|words| format!("; words that see no prompt, {}", percent(words.value)));
        let alone = alone.unwrap_or_default();
        let _ = writeln!(
            text,
            "{} prefers the better answer in {accuracy} of {pairs} ({interval}){alone}.",
            judge.model
        );
    }
    for run in &report.hacking {
        let _ = writeln!(text, "{}: {}. {}", run.run, words::hacking(run.verdict), run.summary);
    }
    if let Some(sweep) = &report.sweep {
        text += &tables::sweep(sweep).to_text();
    }
    for note in &report.notes {
        let _ = writeln!(text, "Note: {note}");
    }
    align_text::printable(&text)
}
