//! Generation as a whole: a model and prompts in, completions out, in the order of the prompts.

use std::fmt::Display;
use std::iter::{repeat_n, zip};
use std::time::Instant;

use align_hub::Hub;
use align_models::generation::{GenerationOptions, generate_in_batches};
use align_stage::{Error, Event, Given, Heard, Host, ModelOptions, Pace, Result, ensure, given};
use serde::Serialize;

use crate::prompts::{Elsewhere, PromptOptions};
use crate::row::Row;

/// A generation job: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// The model, the device and the seed.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Where the prompts come from and how they are read.
    #[command(flatten)]
    pub prompts: PromptOptions,
    /// How a prompt is continued.
    #[command(flatten, next_help_heading = "Generation")]
    pub generation: GenerationOptions,
    /// How often.
    #[command(flatten)]
    pub sequences: SequenceOptions,
}

/// How often a prompt is continued.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct SequenceOptions {
    /// Completions per prompt, each with random numbers of its own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = align_limits::whole(1..=65_536))]
    pub num_return_sequences: usize,
}

/// What came of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Completions that were handed out.
    pub completions: usize,
    /// Their tokens, those that ended them included.
    pub tokens: usize,
    /// Seconds from the first token to the last row.
    pub seconds: f64,
}

impl Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tokens, seconds, .. } = *self;
        write!(f, "{tokens} tokens in {seconds:.1} s, {:.0} a second", tokens as f64 / seconds)
    }
}

impl Job {
    /// The job over a model by name; everything else is as by default, and there are no prompts yet.
    pub fn new(model: impl Into<String>) -> Self {
        let mut job = Self::default();
        job.model.model_name_or_path = model.into();
        job
    }

    /// Refuses settings without meaning, before anything is read.
    fn check(&self, given: &Given) -> Result<()> {
        self.generation.check()?;
        let times = self.sequences.num_return_sequences;
        ensure!(
            self.generation.temperature > 0.0 || times == 1,
            "`num_return_sequences` must be 1 at `temperature` 0 (greedy), where all completions of a prompt \
             are the same, but is {times}"
        );
        given.refuse_revision_of_directory(&self.model.model_name_or_path)
    }
}

/// Completes the job's prompts, or those from `elsewhere` if it names none, and hands each row to `take` as it comes.
///
/// # Errors
/// Options, prompts or a model that are wrong, before the host hears [`Event::Checked`]; a model whose logits are not finite;
/// what `take` refuses.
pub fn generate(
    job: &Job,
    host: &Host<'_>,
    elsewhere: Option<Elsewhere<'_>>,
    take: &mut dyn FnMut(&Row<'_>) -> Heard,
) -> Result<Report> {
    job.check(&given(host, job)?)?;
    let device = job.model.device.open().map_err(align_stage::PlaceError::from)?;

    // Prompts, as records and as token ids.
    let hub = Hub::from_env();
    let (model, tokenizer) = job.model.find(&hub)?;
    model.check_vocabulary(tokenizer.vocab_size())?;
    let prompts = job.prompts.read(elsewhere, &hub, &tokenizer)?;
    let (longest, room) = (job.generation.max_new_tokens, model.decoder_config().max_positions);
    let tokens = job.prompts.tokenize(&prompts, &tokenizer, longest, room)?;

    // The model, and each prompt as often as it is to be completed.
    let model = model.to_run();
    let lm = model.model(&device)?.causal_lm()?;
    let eos = [vec![tokenizer.eos_id()?], model.eos_token_ids()?].concat();
    let times = job.sequences.num_return_sequences;
    let mut batches = generate_in_batches(&lm, &tokens, times, &eos, &job.generation, job.model.seed)?;

    // Completions, in the order of the prompts.
    host.tell(Event::Checked)?;
    let (start, mut report) = (Instant::now(), Report::default());
    let mut sequences = zip(&prompts, &tokens).flat_map(|prompt| repeat_n(prompt, times));
    let mut pace = Pace::new("completions", prompts.len() * times);
    while let Some(completions) = batches.next().transpose()? {
        pace.advance(completions.len());
        for (completion, (prompt, tokens)) in zip(&completions, &mut sequences) {
            report.completions += 1;
            report.tokens += completion.tokens.len();
            take(&Row::new(prompt, tokens, completion, &tokenizer)?).map_err(Error::Listener)?;
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    tracing::info!("{report}");
    Ok(report)
}
