//! What a stored row holds, for each kind of row, and what of it a resumed run must find again.

use super::bytes::{Bytes, Fingerprint, put_ids, put_optional, put_text, put_usize};
use crate::record::{Origin, PromptOnly, PromptTask, TemplateArguments, Text};
use crate::tokenize::{
    TokenizedCandidates, TokenizedCompletion, TokenizedExample, TokenizedPair, TokenizedRanking,
    TokenizedTask,
};

/// A row of token ids that can be kept in a file.
pub trait StoredRow: Clone + Send + Sync + Sized {
    /// The row's origin.
    fn origin(&self) -> &Origin;

    /// The index of its record.
    fn row(&self) -> usize;

    /// The same row of another record.
    #[must_use]
    fn with_row(self, row: usize) -> Self;

    /// Tokens that a batch spends on it.
    fn tokens(&self) -> usize;

    /// Tokens of its longest sequence.
    fn longest(&self) -> usize;

    /// Hashes its token ids and labels.
    fn add_to(&self, hash: &mut Fingerprint);

    /// Writes all of it but its origin and its record's index.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads what [`StoredRow::write`] wrote; none of other bytes.
    fn read(bytes: &mut Bytes<'_>, row: usize, origin: Origin) -> Option<Self>;
}

impl StoredRow for TokenizedPair {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn row(&self) -> usize {
        self.row
    }

    fn with_row(self, row: usize) -> Self {
        Self { row, ..self }
    }

    fn tokens(&self) -> usize {
        self.token_count()
    }

    fn longest(&self) -> usize {
        self.prompt.len() + self.answers().map(Vec::len).max().unwrap_or(0)
    }

    fn add_to(&self, hash: &mut Fingerprint) {
        hash.add(&self.prompt);
        self.answers().for_each(|ids| hash.add(ids));
        hash.add_some(&self.unlearned);
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.prompt_is_cut));
        [&self.prompt, &self.chosen, &self.rejected].into_iter().for_each(|ids| put_ids(out, ids));
        put_optional(out, self.reference.as_ref(), |out, ids| put_ids(out, ids));
        put_ids(out, &self.unlearned);
    }

    fn read(bytes: &mut Bytes<'_>, row: usize, origin: Origin) -> Option<Self> {
        let prompt_is_cut = bytes.flag()?;
        let (prompt, chosen, rejected) = (bytes.ids()?, bytes.ids()?, bytes.ids()?);
        let (reference, unlearned) = (bytes.optional(Bytes::ids)?, bytes.ids()?);
        Some(Self { prompt, prompt_is_cut, chosen, rejected, reference, unlearned, row, origin })
    }
}

impl StoredRow for TokenizedCompletion {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn row(&self) -> usize {
        self.row
    }

    fn with_row(self, row: usize) -> Self {
        Self { row, ..self }
    }

    fn tokens(&self) -> usize {
        self.token_count()
    }

    fn longest(&self) -> usize {
        self.token_count()
    }

    fn add_to(&self, hash: &mut Fingerprint) {
        [&self.prompt, &self.completion, &self.cut_off].into_iter().for_each(|ids| hash.add(ids));
        hash.add(&[u32::from(self.desirable)]);
        hash.add_some(&self.unlearned);
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend([u8::from(self.prompt_is_cut), u8::from(self.desirable)]);
        let ids = [&self.prompt, &self.completion, &self.cut_off, &self.unlearned];
        ids.into_iter().for_each(|ids| put_ids(out, ids));
    }

    fn read(bytes: &mut Bytes<'_>, row: usize, origin: Origin) -> Option<Self> {
        let (prompt_is_cut, desirable) = (bytes.flag()?, bytes.flag()?);
        let (prompt, completion, cut_off) = (bytes.ids()?, bytes.ids()?, bytes.ids()?);
        let unlearned = bytes.ids()?;
        Some(Self { prompt, prompt_is_cut, completion, cut_off, unlearned, desirable, row, origin })
    }
}

impl StoredRow for TokenizedRanking {
    fn origin(&self) -> &Origin {
        &self.answers.origin
    }

    fn row(&self) -> usize {
        self.answers.row
    }

    fn with_row(self, row: usize) -> Self {
        Self { answers: TokenizedCandidates { row, ..self.answers }, ..self }
    }

    fn tokens(&self) -> usize {
        self.answers.token_count()
    }

    fn longest(&self) -> usize {
        let answers = &self.answers;
        answers.prompt.len() + answers.completions.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn add_to(&self, hash: &mut Fingerprint) {
        hash.add(&self.answers.prompt);
        self.answers.completions.iter().for_each(|ids| hash.add(ids));
        let bits = self.margin.map_or(0, f64::to_bits);
        hash.add(&[bits as u32, (bits >> 32) as u32]);
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_ids(out, &self.answers.prompt);
        put_usize(out, self.answers.completions.len());
        self.answers.completions.iter().for_each(|ids| put_ids(out, ids));
        put_optional(out, self.margin, |out, margin| out.extend(margin.to_bits().to_le_bytes()));
        put_optional(out, self.source.as_ref(), |out, source| put_text(out, source));
    }

    fn read(bytes: &mut Bytes<'_>, row: usize, origin: Origin) -> Option<Self> {
        let (prompt, count) = (bytes.ids()?, bytes.usize()?);
        let completions = (0..count).map(|_| bytes.ids()).collect::<Option<_>>()?;
        let margin = bytes.optional(|bytes| Some(f64::from_bits(u64::from_le_bytes(bytes.number()?))))?;
        let source = bytes.optional(Bytes::text)?;
        Some(Self { answers: TokenizedCandidates { prompt, completions, row, origin }, margin, source })
    }
}

impl StoredRow for TokenizedExample {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn row(&self) -> usize {
        self.row
    }

    fn with_row(self, row: usize) -> Self {
        Self { row, ..self }
    }

    fn tokens(&self) -> usize {
        self.tokens.len()
    }

    fn longest(&self) -> usize {
        self.tokens.len()
    }

    fn add_to(&self, hash: &mut Fingerprint) {
        hash.add(&self.tokens);
        hash.add(&self.mask.iter().map(|&learned| u32::from(learned)).collect::<Vec<_>>());
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_ids(out, &self.tokens);
        out.extend(self.mask.iter().map(|&learned| u8::from(learned)));
    }

    fn read(bytes: &mut Bytes<'_>, row: usize, origin: Origin) -> Option<Self> {
        let tokens = bytes.ids()?;
        let mask = (0..tokens.len()).map(|_| bytes.flag()).collect::<Option<_>>()?;
        Some(Self { tokens, mask, row, origin })
    }
}

impl StoredRow for TokenizedTask {
    fn origin(&self) -> &Origin {
        &self.task.prompt.origin
    }

    /// Nobody looks for the record of a task, which has it.
    fn row(&self) -> usize {
        0
    }

    fn with_row(self, _: usize) -> Self {
        self
    }

    fn tokens(&self) -> usize {
        self.tokens.len()
    }

    fn longest(&self) -> usize {
        self.tokens.len()
    }

    fn add_to(&self, hash: &mut Fingerprint) {
        hash.add(&self.tokens);
        let reference = self.task.reference.iter().flat_map(|text| text.chars());
        hash.add(&reference.map(u32::from).collect::<Vec<_>>());
    }

    fn write(&self, out: &mut Vec<u8>) {
        let PromptOnly { prompt, template, .. } = &self.task.prompt;
        let task = serde_json::to_string(&(prompt, template, &self.task.reference));
        put_text(out, &task.expect("records are plain JSON"));
        out.push(u8::from(self.prompt_is_cut));
        put_ids(out, &self.tokens);
    }

    fn read(bytes: &mut Bytes<'_>, _: usize, origin: Origin) -> Option<Self> {
        let task: (Text, TemplateArguments, Option<String>) = serde_json::from_str(&bytes.text()?).ok()?;
        let (prompt, template, reference) = task;
        let (prompt_is_cut, tokens) = (bytes.flag()?, bytes.ids()?);
        let task = PromptTask { prompt: PromptOnly { prompt, template, origin }, reference };
        Some(Self { task, tokens, prompt_is_cut })
    }
}
