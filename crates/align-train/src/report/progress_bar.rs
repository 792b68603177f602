//! The terminal: a bar where there is one, a line per log entry where there is none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{LogEntry, Update};

/// Shown beside the bar if the objective reports them.
const SHOWN: [(&str, &str); 3] =
    [("rewards/margins", "margin"), ("rewards/accuracies", "accuracy"), ("mean_token_accuracy", "accuracy")];

pub(super) struct Bar {
    bar: ProgressBar,
    tokens_per_second: Option<f64>,
}

impl Bar {
    pub(super) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), tokens_per_second: None }
    }

    /// A bar on stderr, which is hidden if that is no terminal.
    pub(super) fn new(step: usize, total: usize) -> Self {
        let style = ProgressStyle::with_template("{pos}/{len} {bar:24} {msg} [{elapsed}<{eta}]")
            .expect("the template is well formed");
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
            .with_style(style)
            .with_position(step as u64);
        bar.reset_eta();
        Self { bar, tokens_per_second: None }
    }

    pub(super) fn step(&mut self, step: usize, seconds: f64, update: &Update) {
        let mut parts = vec![format!("loss {:.4}", update.loss)];
        for (name, label) in SHOWN {
            parts.extend(update.metrics.get(name).map(|value| format!("{label} {value:.3}")));
        }
        if let Some(tokens) = update.metrics.get("num_tokens")
            && seconds > 0.0
        {
            let now = tokens / seconds;
            let smooth = self.tokens_per_second.map_or(now, |before| 0.9 * before + 0.1 * now);
            self.tokens_per_second = Some(smooth);
            parts.push(format!("{smooth:.0} tokens/s"));
        }
        self.bar.set_message(parts.join(" "));
        self.bar.set_position(step as u64);
    }

    /// A line of the entry's numbers, above the bar if there is one.
    pub(super) fn log(&self, step: usize, entry: &LogEntry) {
        let values: Vec<_> = entry
            .iter()
            .filter(|(name, _)| *name != "step")
            .filter_map(|(name, value)| Some(format!("{name} {}", short(value.as_f64()?))))
            .collect();
        self.bar.suspend(|| tracing::info!("step {step}: {}", values.join(", ")));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Four significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size => format!("{value:.*}", (3 - size.log10().floor() as i32).max(0) as usize),
    }
}
