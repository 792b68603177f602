//! How rows are made of records: read, looked at and made token ids of chunk by chunk, so that no more of their text is in
//! memory than a few chunks have, and kept where the next run finds them.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Findings, Prepared};
use crate::checks::{Look, Seen};
use crate::error::Result;
use crate::record::{
    Demonstration, DemonstrationBody, PreferencePair, PromptTask, Ranking, Text, UnpairedPreference,
};
use crate::records::{Records, no_effect_here};
use crate::source::{Source, SourceReport, allowed};
use crate::store::{Building, Place, Rows, StoredRow, Summary, key, open, parted};
use crate::tokenize::{Collecting, RowOutcome, TokenizeOptions, TokenizeReport};
use crate::tokenizer::Tokenizer;

/// What is done with records of one kind, beside making token ids of them.
pub(super) struct Way<R> {
    /// What their rows are called where they are kept, and what else decides them.
    pub(super) name: &'static str,
    pub(super) of: Value,
    pub(super) seen: Seen,
    pub(super) look: fn(&R) -> Look,
    /// Whether records are the answers of pairs, which stand side by side as they are read.
    pub(super) of_pairs: fn(&[R]) -> bool,
}

/// The rows of these records: those that an earlier run kept, or new ones.
pub(super) fn prepare<R: Prompted + Send + Sync, T: StoredRow>(
    records: &Records<R>,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
    way: Way<R>,
    tokenize: impl Fn(usize, &R) -> Result<RowOutcome<T>> + Sync,
) -> Result<Prepared<T>> {
    let Records { train, held_out } = records;
    let cache =
        train.split().and_then(|split| Some(split.parts.first()?.dataset.cache.clone())).unwrap_or_default();
    let key = || key((train, held_out), &json!([way.name, way.of]), tokenizer, options);
    let origins: Vec<Arc<Path>> =
        [train, held_out].into_iter().filter_map(Source::split).flat_map(|split| split.origins()).collect();
    let known = if cache.has_files() { Some(cache.place(key()?)) } else { None };
    if let Some(prepared) = known.as_ref().and_then(|place| stored(place, &origins)) {
        return Ok(prepared);
    }
    let place = || known.clone().map_or_else(|| Ok(cache.place(key()?)), Ok);

    held_out.check_beginning()?;
    let (mut seen, mut rows) = (way.seen, Building::new(&place, &origins, cache.in_memory));
    let steps = Steps { options, look: way.look, of_pairs: way.of_pairs, tokenize: &tokenize };
    let training = steps.run(train, |_, looks, made| {
        looks.into_iter().for_each(|look| seen.add(look));
        rows.extend(made)
    })?;
    if let Some(entry) = training.read.unmapped.first() {
        return no_effect_here("column_mapping", "names a column that no training row has", entry);
    }
    if let Some(pairs) = training.pairs {
        rows.part_pairs(pairs);
    }

    let (mut evaluation, mut prompts, mut measured) = (Vec::new(), Vec::new(), Vec::new());
    let held_out = if held_out.is_empty() {
        None
    } else {
        Some(steps.run(held_out, |records, looks, made| {
            evaluation.extend(looks);
            prompts.extend(records.iter().filter_map(|record| record.prompt().cloned()));
            measured.extend(made);
            Ok(())
        })?)
    };
    if let Some(pairs) = held_out.as_ref().and_then(|made| made.pairs) {
        measured = parted(measured, pairs);
        let (chosen, rejected): (Vec<_>, Vec<_>) =
            prompts.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
        prompts = [chosen, rejected].concat().into_iter().map(|(_, prompt)| prompt).collect();
    }

    let (held_out_read, held_out) = held_out.map(|made| (made.read, made.tokenized)).unzip();
    let findings = Findings {
        read: training.read,
        held_out_read: held_out_read.unwrap_or_default(),
        checks: seen.compared(held_out.as_ref().map(|_| evaluation.as_slice())),
        train: training.tokenized,
        held_out,
        plain_prompts: training.plain_prompts,
    };
    let summary = |key, fingerprint, longest| {
        let pairs = training.pairs;
        Summary { key, fingerprint, longest, findings, pairs }
    };
    let (rows, summary) = rows.finish((&measured, &prompts), summary)?;
    Ok(prepared(rows, measured, prompts, summary))
}

fn prepared<T>(train: Rows<T>, held_out: Vec<T>, prompts: Vec<Text>, summary: Summary) -> Prepared<T> {
    let Summary { fingerprint, longest, findings, .. } = summary;
    Prepared { train, held_out, held_out_prompts: prompts, fingerprint, longest, findings }
}

/// The rows that are kept in a place, if they are whole.
fn stored<T: StoredRow>(place: &Place, origins: &[Arc<Path>]) -> Option<Prepared<T>> {
    let path = place.path.as_ref().filter(|path| path.exists())?;
    match open(path, &place.key, origins.to_vec()) {
        Ok(stored) => {
            place.touch();
            tracing::info!("token ids are read from {}, of an earlier run on the same data", path.display());
            Some(prepared(stored.rows, stored.held_out, stored.prompts, stored.summary))
        }
        Err(reason) => {
            tracing::warn!("token ids in {} are not used, and made again: {reason}", path.display());
            None
        }
    }
}

/// What is done with each chunk of a source.
struct Steps<'a, R, F> {
    options: &'a TokenizeOptions,
    look: fn(&R) -> Look,
    of_pairs: fn(&[R]) -> bool,
    tokenize: &'a F,
}

/// What became of the records of a source.
struct Made {
    read: SourceReport,
    tokenized: TokenizeReport,
    plain_prompts: usize,
    /// How many pairs there are, where the records are the answers of such.
    pairs: Option<usize>,
}

impl<R: Prompted + Send + Sync, F: Sync> Steps<'_, R, F> {
    /// Hands each chunk on: its records, what the checks keep of them, and the rows that were made of them.
    fn run<T: Send>(
        &self,
        source: &Source<R>,
        mut take: impl FnMut(&[R], Vec<Look>, Vec<T>) -> Result<()>,
    ) -> Result<Made>
    where
        F: Fn(usize, &R) -> Result<RowOutcome<T>>,
    {
        let Self { options, look, of_pairs, tokenize } = self;
        let (mut collecting, mut plain_prompts, mut count, mut are_answers) =
            (Collecting::default(), 0, 0, false);
        let read = source.each_chunk(|first, chunk| {
            count = first + chunk.records.len();
            are_answers |= first == 0 && source.split().is_some() && of_pairs(chunk.records);
            // How many may be left out is known when all rows are.
            let most = match chunk.report {
                Some(report) => allowed(beside(options, report), count),
                None if options.max_bad_rows > 0.0 => usize::MAX,
                None => 0,
            };
            let looks = chunk.records.par_iter().map(look).collect();
            let made = collecting.chunk(first, chunk.records, most, tokenize)?;
            let is_plain = |row: &&R| matches!(row.prompt(), Some(Text::Plain(_)));
            plain_prompts += chunk.records.iter().filter(is_plain).count();
            take(chunk.records, looks, made)
        })?;
        let most = beside(options, &read);
        let tokenized = collecting.finish(allowed(most, count), most)?;
        Ok(Made { read, tokenized, plain_prompts, pairs: are_answers.then_some(count / 2) })
    }
}

/// What is left of the share of unusable rows: those that were left out when the rows were read count too.
fn beside(options: &TokenizeOptions, read: &SourceReport) -> f64 {
    let left = allowed(options.max_bad_rows, read.rows).saturating_sub(read.bad);
    if read.rows == 0 { options.max_bad_rows } else { left as f64 / read.used.max(1) as f64 }
}

/// A record that answers a prompt, or is one.
pub(super) trait Prompted {
    fn prompt(&self) -> Option<&Text>;
}

impl Prompted for PreferencePair {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.prompt)
    }
}

impl Prompted for UnpairedPreference {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.prompt)
    }
}

impl Prompted for Ranking {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.answers.prompt)
    }
}

impl Prompted for PromptTask {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.prompt.prompt)
    }
}

impl Prompted for Demonstration {
    fn prompt(&self) -> Option<&Text> {
        match &self.body {
            DemonstrationBody::PromptCompletion { prompt, .. } => Some(prompt),
            DemonstrationBody::Text { .. } | DemonstrationBody::Messages { .. } => None,
        }
    }
}
