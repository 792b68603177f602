//! A language model to be evaluated: its tokenizer, its answers, its log-probs.

mod spelled;

use std::path::Path;

use align_data::{
    Demonstration, LearnedPart, PromptOnly, Text, TokenizeOptions, TokenizedCandidates, Tokenizer,
    TruncationMode, tokenize_demonstrations, tokenize_prompts,
};
use align_hub::Hub;
use align_kernels::Precision;
use align_models::generation::{Completion, GenerationOptions, check_completions, generate_in_batches};
use align_models::{CausalLm, ModelDir, Packed, divergence};
use align_stage::find_base;
use align_stats::ci95_of_several;
use align_train::Pace;
use candle_core::Device;

use crate::error::{Error, Result};
use spelled::spelled;
pub(crate) use spelled::spelled_candidates;

/// Tokens per pass where log-probs are computed: bounds the memory.
const TOKENS_PER_PASS: usize = 4096;

/// A model's directory and tokenizer; its weights are not loaded yet.
#[derive(Debug)]
pub struct PolicyDir {
    name: String,
    dir: ModelDir,
    tokenizer: Tokenizer,
    eos: Vec<u32>,
}

/// A model that can be asked.
#[derive(Debug)]
pub struct Policy {
    dir: PolicyDir,
    model: CausalLm,
}

/// What a model said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The text, without special tokens.
    pub text: String,
    /// Tokens, the one that ended it included.
    pub tokens: usize,
    /// Whether the model ended it, rather than the most tokens allowed.
    pub finished: bool,
}

/// KL(π ‖ π_ref) in nats, estimated on what the policy says at temperature 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kl {
    /// Per answer.
    pub per_sequence: f64,
    /// Its 95 % interval, by bootstrap over the prompts; none of one prompt, nor of a model against itself.
    pub ci95: Option<[f64; 2]>,
    /// Per token.
    pub per_token: f64,
}

impl PolicyDir {
    /// Reads config and tokenizer of the language model in `path`; `name` is what reports call it.
    ///
    /// # Errors
    /// If it is none, or its tokenizer does not fit.
    pub fn open(name: impl Into<String>, path: &Path) -> Result<Self> {
        let name = name.into();
        let hub = Hub::from_env();
        let dir = ModelDir::open_with(path, find_base(&hub))?;
        if dir.reward_head()?.is_some() {
            let path = path.display();
            return Err(Error::Config(format!(
                "model {name}: {path} is a reward model; expected a language model"
            )));
        }
        let tokenizer = Tokenizer::load(dir.tokenizer_path())?;
        dir.check_vocabulary(tokenizer.vocab_size())?;
        let mut eos = dir.eos_token_ids()?;
        if eos.is_empty() {
            eos.push(tokenizer.eos_id()?);
        }
        Ok(Self { name, dir, tokenizer, eos })
    }

    /// The same model, its products in that precision.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { dir: self.dir.in_precision(precision), ..self }
    }

    /// What it rounds operands of products to.
    pub fn precision(&self) -> Precision {
        self.dir.decoder_config().precision
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Token ids of prompts; none of those that leave no room for `max_new_tokens`.
    ///
    /// # Errors
    /// Prompts that the chat template or the tokenizer cannot process.
    pub fn prompt_tokens(
        &self,
        prompts: &[PromptOnly],
        max_new_tokens: usize,
    ) -> Result<Vec<Option<Vec<u32>>>> {
        let uncut = TokenizeOptions { max_length: None, ..TokenizeOptions::default() };
        let room = self.dir.decoder_config().max_positions.saturating_sub(max_new_tokens);
        let prompts: Vec<PromptOnly> = prompts
            .iter()
            .map(|prompt| PromptOnly { prompt: self.spelled(&prompt.prompt), ..prompt.clone() })
            .collect();
        let (tokenized, _) = tokenize_prompts(&prompts, &self.tokenizer, &uncut)?;
        let mut tokens = vec![None; prompts.len()];
        for prompt in tokenized.into_iter().filter(|prompt| prompt.tokens.len() <= room) {
            tokens[prompt.row] = Some(prompt.tokens);
        }
        Ok(tokens)
    }

    /// How rows of prompt and answers are cut to what the model can see: the end is kept.
    pub fn tokenize_options(&self) -> TokenizeOptions {
        TokenizeOptions {
            max_length: Some(self.dir.decoder_config().max_positions),
            truncation_mode: TruncationMode::KeepEnd,
            ..TokenizeOptions::default()
        }
    }

    /// Messages as text where the model has no chat template: their contents, a blank line after each.
    pub fn spelled(&self, text: &Text) -> Text {
        spelled(text, self.tokenizer.chat_template().is_some())
    }

    /// Loads the weights.
    ///
    /// # Errors
    /// If they are not what the config says.
    pub fn load(self, device: &Device) -> Result<Policy> {
        let model = self.dir.clone().to_run().model(device)?.causal_lm()?;
        Ok(Policy { dir: self, model })
    }
}

impl Policy {
    /// Opens and loads.
    ///
    /// # Errors
    /// As [`PolicyDir::open`] and [`PolicyDir::load`].
    pub fn open(name: impl Into<String>, path: &Path, device: &Device) -> Result<Self> {
        PolicyDir::open(name, path)?.load(device)
    }

    /// Its directory.
    pub fn dir(&self) -> &PolicyDir {
        &self.dir
    }

    /// One answer per prompt, in order; the same for the same seed.
    ///
    /// # Errors
    /// Settings without meaning; prompts that are too long.
    pub fn answers(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerationOptions,
        seed: u64,
    ) -> Result<Vec<Answer>> {
        let completions = self.completions(prompts, 1, options, seed)?;
        prompts.iter().zip(&completions).map(|(prompt, completion)| self.answer(prompt, completion)).collect()
    }

    /// `count` answers per prompt.
    ///
    /// # Errors
    /// As [`Policy::answers`].
    pub fn answer_groups(
        &self,
        prompts: &[Vec<u32>],
        count: usize,
        options: &GenerationOptions,
        seed: u64,
    ) -> Result<Vec<Vec<Answer>>> {
        let mut completions = self.completions(prompts, count, options, seed)?.into_iter();
        let answers = |prompt: &Vec<u32>| {
            completions.by_ref().take(count).map(|completion| self.answer(prompt, &completion)).collect()
        };
        prompts.iter().map(answers).collect()
    }

    /// `count` completions per prompt, those of one prompt after each other.
    fn completions(
        &self,
        prompts: &[Vec<u32>],
        count: usize,
        options: &GenerationOptions,
        seed: u64,
    ) -> Result<Vec<Completion>> {
        check_completions(prompts.len(), count)?;
        let mut pace = Pace::new(format!("{}: answers", self.dir.name), prompts.len() * count);
        let mut completions = Vec::with_capacity(prompts.len() * count);
        for batch in generate_in_batches(&self.model, prompts, count, &self.dir.eos, options, seed)? {
            let batch = batch?;
            pace.advance(batch.len());
            completions.extend(batch);
        }
        Ok(completions)
    }

    /// Log-probs of whole answers, as many per row as it has.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub fn log_probs(&self, rows: &[TokenizedCandidates]) -> Result<Vec<Vec<f64>>> {
        let mut log_probs = Vec::with_capacity(rows.len());
        let mut pace = Pace::new(format!("{}: log-probs of rows", self.dir.name), rows.len());
        for pass in passes(rows, TokenizedCandidates::token_count) {
            let mut packed = Packed::default();
            for row in pass {
                let completions: Vec<&[u32]> = row.completions.iter().map(Vec::as_slice).collect();
                packed.push_completions(&row.prompt, &completions);
            }
            let sums = self.model.sequence_log_probs(&packed)?.to_vec1::<f32>()?;
            self.check_finite(&sums)?;
            let mut sums = sums.into_iter().map(f64::from);
            log_probs
                .extend(pass.iter().map(|row| sums.by_ref().take(row.completions.len()).collect::<Vec<_>>()));
            pace.advance(pass.len());
        }
        Ok(log_probs)
    }

    /// A model that computes NaN would lose every comparison without a word.
    fn check_finite(&self, log_probs: &[f32]) -> Result<()> {
        if log_probs.iter().all(|log_prob| log_prob.is_finite()) {
            return Ok(());
        }
        let name = &self.dir.name;
        Err(Error::Config(format!(
            "model {name}: its log-probs are not finite: its weights hold NaN or numbers too large to compute with"
        )))
    }

    /// exp of the mean negative log-prob of a token; of prompt-completion rows only the completions count, of conversations
    /// the assistant's turns. `None` without a token.
    ///
    /// # Errors
    /// Rows that cannot be tokenized; if the model cannot be run.
    pub fn perplexity(&self, rows: &[Demonstration]) -> Result<Option<f64>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let options = self.dir.tokenize_options();
        let (rows, _) =
            tokenize_demonstrations(rows, &self.dir.tokenizer, &options, &LearnedPart::default())?;
        let (mut sum, mut tokens) = (0.0, 0);
        for pass in passes(&rows, |row| row.tokens.len()) {
            let mut packed = Packed::default();
            pass.iter().for_each(|row| packed.push_sequence(&row.tokens, &row.mask));
            tokens += packed.targets.len();
            if !packed.targets.is_empty() {
                let own = self.model.token_log_probs(&packed)?.sum_all()?.to_scalar::<f32>()?;
                self.check_finite(&[own])?;
                sum += f64::from(own);
            }
        }
        if !sum.is_finite() {
            let name = &self.dir.name;
            return Err(Error::Config(format!(
                "model {name}: gives no finite log-probs of the held-out text: its weights are damaged"
            )));
        }
        Ok((tokens > 0).then(|| (-sum / tokens as f64).exp()))
    }

    /// The KL from `reference` on these prompts; none where the two have different tokenizers, so that no token of one
    /// is a token of the other.
    ///
    /// # Errors
    /// As [`Policy::answers`].
    pub fn kl_from(
        &self,
        reference: &Self,
        prompts: &[Vec<u32>],
        max_new_tokens: usize,
        seed: u64,
    ) -> Result<Option<Kl>> {
        if !self.shares_tokenizer(reference) {
            return Ok(None);
        }
        let found = divergence(&self.model, &reference.model, prompts, &self.dir.eos, max_new_tokens, seed)?;
        let tokens: usize = found.completions.iter().map(|completion| completion.tokens.len()).sum();
        let per_token = found.kl * prompts.len() as f64 / tokens.max(1) as f64;
        let of_prompts: Vec<(f64, f64)> = found.per_prompt.iter().map(|&kl| (kl, 1.0)).collect();
        Ok(Some(Kl { per_sequence: found.kl, ci95: ci95_of_several(&of_prompts, seed), per_token }))
    }

    /// Whether both make the same token ids of a text.
    pub fn shares_tokenizer(&self, other: &Self) -> bool {
        self.dir.tokenizer.content_hash() == other.dir.tokenizer.content_hash()
    }

    fn answer(&self, prompt: &[u32], completion: &Completion) -> Result<Answer> {
        let text = self.dir.tokenizer.continuation(prompt, &completion.tokens)?;
        Ok(Answer { text, tokens: completion.tokens.len(), finished: completion.finished })
    }
}

/// Runs of rows of about [`TOKENS_PER_PASS`] tokens.
fn passes<T>(rows: &[T], tokens: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut passes, mut start, mut total) = (Vec::new(), 0, 0);
    for (index, row) in rows.iter().enumerate() {
        if total >= TOKENS_PER_PASS {
            passes.push(&rows[start..index]);
            (start, total) = (index, 0);
        }
        total += tokens(row);
    }
    if start < rows.len() {
        passes.push(&rows[start..]);
    }
    passes
}
