//! What is measured on held-out pairs: the objective itself, the KL from the reference on what the policy
//! now says, and a few texts to look at.

use align_data::{RowSource, TokenizedCompletion, TokenizedPair, Tokenizer};
use align_models::generation::{Completion, GenerationOptions, generate};
use align_models::{CausalLm, divergence};
use align_stage::{Pack, RowBatches, Said};
use align_stats::ci95_of_several;
use align_train::{Error, Evaluate, Metrics, Objective, Ranks, Result, Stop, evaluate};

use crate::metrics::{OTHERS, TWINS};

/// Prompts whose completions are compared before and after.
pub(crate) const COMPARED: usize = 12;

/// Temperature of those completions: what the policy usually says, without the tail of its distribution.
const TEMPERATURE: f64 = 0.7;

/// A row that answers a prompt.
pub trait Prompted {
    /// The prompt's token ids.
    fn prompt(&self) -> &[u32];

    /// Whether the limits cut its beginning.
    fn prompt_is_cut(&self) -> bool;
}

impl Prompted for TokenizedPair {
    fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    fn prompt_is_cut(&self) -> bool {
        self.prompt_is_cut
    }
}

impl Prompted for TokenizedCompletion {
    fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    fn prompt_is_cut(&self) -> bool {
        self.prompt_is_cut
    }
}

/// The settings of a measurement on held-out rows.
#[derive(Clone, Debug)]
pub struct Measuring<'a> {
    /// The tokenizer, which makes texts of token ids.
    pub tokenizer: &'a Tokenizer,
    /// Tokens that end a completion.
    pub eos: Vec<u32>,
    /// Rows per batch.
    pub batch_size: usize,
    /// Prompts that are completed to measure the divergence from the reference.
    pub num_kl_prompts: usize,
    /// Most tokens of a completion.
    pub max_new_tokens: usize,
    /// Seed of what is sampled.
    pub seed: u64,
    /// Whether a run ends with the weights of its last step, so that what was measured then still holds.
    pub ends_with_last: bool,
    /// The ranks that share the rows. Prompts are completed by the first of them alone.
    pub ranks: Ranks,
}

/// Opens the reference that completions are compared with.
pub type OpenReference<'a> = Box<dyn Fn() -> align_stage::Result<CausalLm> + 'a>;

/// Held-out rows, the objective over views of the models, and the models themselves.
pub struct HeldOut<'a, T, O: Objective> {
    rows: &'a [T],
    pack: Pack<'a, T, O::Batch>,
    objective: O,
    policy: CausalLm,
    reference: Option<OpenReference<'a>>,
    how: Measuring<'a>,
    last: Option<Evaluation>,
}

/// What was found after so many updates.
#[derive(Clone)]
struct Evaluation {
    step: usize,
    metrics: Metrics,
    /// The KL of each prompt's completion; empty where it is not measured.
    kl: Vec<f64>,
}

/// A look at the policy at one moment: accuracy, margin and KL on held-out rows, and some texts.
#[derive(Clone, Debug)]
pub struct HeldOutLook {
    /// Share of pairs whose chosen answer has the higher implicit reward, or of answers whose reward has the
    /// sign of their label; ties count half.
    pub accuracy: f64,
    /// The accuracy on pairs whose answers differ in few words, and on the others, where there are both.
    pub twins: Option<[f64; 2]>,
    /// Mean difference of the implicit rewards; none where all answers are of one kind.
    pub margin: Option<f64>,
    /// KL from the reference in nats per completion, where it is measured.
    pub kl: Option<f64>,
    /// Its 95 % interval, by bootstrap over the prompts; none of one prompt.
    pub kl_ci95: Option<[f64; 2]>,
    /// Number of rows these are from.
    pub rows: usize,
    /// Some prompts with their markup, and a completion of each.
    pub texts: Vec<Said>,
    /// The held-out row that each of those prompts is of.
    pub texts_of: Vec<usize>,
}

impl<'a, T: Prompted, O: Objective> HeldOut<'a, T, O> {
    /// The held-out rows with the models that they are measured by; none if there are no rows. `objective` and
    /// `policy` are over a view of the policy; without a `reference` no divergence is measured.
    ///
    /// # Errors
    /// If completions would outgrow the model's positions.
    pub fn new(
        rows: &'a [T],
        pack: impl Fn(RowSource<'_, T>, &[usize]) -> align_data::Result<O::Batch> + 'a,
        objective: O,
        (policy, reference): (CausalLm, Option<OpenReference<'a>>),
        how: Measuring<'a>,
    ) -> Result<Option<Self>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let positions = policy.decoder().config().max_positions;
        if how.max_new_tokens >= positions {
            let problem = format!("must be less than the model's max_position_embeddings, {positions}");
            let value = how.max_new_tokens.to_string();
            return Err(Error::Option { option: "max_new_tokens", value, problem });
        }
        Ok(Some(Self { rows, pack: Box::new(pack), objective, policy, reference, how, last: None }))
    }

    /// The headline figures after `step` updates, and, on the first rank, a few texts.
    ///
    /// # Errors
    /// As [`Evaluate::evaluate`].
    pub fn look(&mut self, step: usize, stop: &Stop) -> Result<HeldOutLook> {
        let held = self.last.take().filter(|last| last.step == step && self.how.ends_with_last);
        let Evaluation { metrics, kl, .. } = match held {
            Some(evaluation) => evaluation,
            None => self.measured(step, stop)?,
        };
        let missing = || Error::stage("the evaluation has no `rewards/accuracies`");
        let of_prompts: Vec<(f64, f64)> = kl.iter().map(|&kl| (kl, 1.0)).collect();
        Ok(HeldOutLook {
            accuracy: metrics.get("rewards/accuracies").ok_or_else(missing)?,
            twins: metrics.get(TWINS).zip(metrics.get(OTHERS)).map(|(twins, others)| [twins, others]),
            margin: metrics.get("rewards/margins"),
            kl: metrics.get("kl"),
            kl_ci95: ci95_of_several(&of_prompts, self.how.seed),
            rows: self.rows.len(),
            texts: if self.how.ranks.leads() { self.texts(COMPARED)? } else { Vec::new() },
            texts_of: self.prompts(COMPARED).into_iter().map(|(row, _)| row).collect(),
        })
    }

    fn measured(&self, step: usize, stop: &Stop) -> Result<Evaluation> {
        let mut batches = RowBatches::in_order(self.rows, self.how.batch_size, &self.pack)?;
        let ranks = &self.how.ranks;
        let (mut metrics, mut kl) = (evaluate(&self.objective, &mut batches, ranks, stop)?, Vec::new());
        // Single answers have a margin over all rows only: a batch may hold one kind.
        let rewards = (metrics.get("rewards/chosen"), metrics.get("rewards/rejected"));
        if let ((Some(chosen), Some(rejected)), None) = (rewards, metrics.get("rewards/margins")) {
            metrics.mean("rewards/margins", chosen - rejected, 1.0);
        }
        let prompts = self.prompts(self.how.num_kl_prompts);
        let prompts: Vec<Vec<u32>> = prompts.into_iter().map(|(_, prompt)| prompt).collect();
        if let (Some(reference), false) = (&self.reference, prompts.is_empty()) {
            stop.all_go_on(ranks)?;
            // By one rank: in other batches a logit is rounded otherwise, and a text may part from that of one process.
            let (figures, of_prompts) = ranks.from_first(|| self.divergence(&prompts, reference, step))?;
            metrics.merge(&figures);
            kl = of_prompts;
        }
        Ok(Evaluation { step, metrics, kl })
    }

    /// The KL from the reference on these prompts, and that of each.
    fn divergence(
        &self,
        prompts: &[Vec<u32>],
        reference: &OpenReference<'_>,
        step: usize,
    ) -> Result<(Metrics, Vec<f64>)> {
        let (how, seed) = (&self.how, self.how.seed.wrapping_add(step as u64));
        let reference = reference().map_err(Error::stage)?;
        let divergence = divergence(&self.policy, &reference, prompts, &how.eos, how.max_new_tokens, seed);
        let divergence = divergence.map_err(Error::stage)?;
        let mut metrics = Metrics::default();
        metrics.mean("kl", divergence.kl, 1.0);
        // One token that the reference rules out is enough for this estimate to be infinite: it is then left out.
        if divergence.kl_k3.is_finite() {
            metrics.mean("kl_k3", divergence.kl_k3, 1.0);
        }
        Ok((metrics, divergence.per_prompt))
    }

    /// Completions of the first `count` different prompts, each with its prompt; the same seed every time.
    fn texts(&self, count: usize) -> Result<Vec<Said>> {
        let (rows, prompts): (Vec<usize>, Vec<Vec<u32>>) = self.prompts(count).into_iter().unzip();
        let options = GenerationOptions {
            temperature: TEMPERATURE,
            ..GenerationOptions::sampled(self.how.max_new_tokens)
        };
        let completions =
            generate(&self.policy, &prompts, &self.how.eos, &options, self.how.seed).map_err(Error::stage)?;
        let text = |ids: &[u32], skip| self.how.tokenizer.decode(ids, skip).map_err(Error::stage);
        let said = |((row, prompt), completion): ((&usize, &Vec<u32>), &Completion)| {
            Ok(Said {
                prompt: text(prompt, false)?,
                prompt_is_cut: self.rows[*row].prompt_is_cut(),
                answer: text(&completion.tokens, true)?,
                finished: completion.finished,
            })
        };
        rows.iter().zip(&prompts).zip(&completions).map(said).collect()
    }

    /// The first `count` different prompts that leave room for a completion, with their rows.
    fn prompts(&self, count: usize) -> Vec<(usize, Vec<u32>)> {
        let room = self.policy.decoder().config().max_positions.saturating_sub(self.how.max_new_tokens);
        let mut prompts: Vec<(usize, Vec<u32>)> = Vec::new();
        let rows = self.rows.iter().map(T::prompt).enumerate();
        for (row, prompt) in rows.filter(|(_, prompt)| prompt.len() <= room) {
            if prompts.len() == count {
                break;
            }
            if !prompts.iter().any(|(_, seen)| seen == prompt) {
                prompts.push((row, prompt.to_vec()));
            }
        }
        prompts
    }
}

impl<T: Prompted, O: Objective> Evaluate for HeldOut<'_, T, O> {
    fn evaluate(&mut self, step: usize, stop: &Stop) -> Result<Metrics> {
        let evaluation = self.measured(step, stop)?;
        let metrics = evaluation.metrics.clone();
        self.last = Some(evaluation);
        Ok(metrics)
    }

    fn sample(&mut self, stop: &Stop) -> Result<Metrics> {
        let rows = &self.rows[..self.how.batch_size.min(self.rows.len())];
        let mut batches = RowBatches::in_order(rows, self.how.batch_size, &self.pack)?;
        evaluate(&self.objective, &mut batches, &self.how.ranks, stop)
    }
}
