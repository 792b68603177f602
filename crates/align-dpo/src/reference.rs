//! The reference of a run: live beside the policy, its log-probs computed before the first step, or a model
//! that follows the policy.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use align_data::{RowSource, StoredRow};
use align_kernels::Params;
use align_models::{CausalLm, LogProbFile, Packed, Reference};
use align_stage::Result;
use align_train::{Error, Pace, Ranks, check_same};
use candle_core::Tensor;

/// Rows per pass while log-probs are computed in advance.
const ROWS_PER_PASS: usize = 8;

/// The way in which a method turns rows into sequences and scores them: the same for policy and reference.
pub trait Scoring {
    /// A row of the data.
    type Row: StoredRow;
    /// Rows, packed.
    type Batch;

    /// Packs the rows with the given indices.
    ///
    /// # Errors
    /// Rows that cannot be read from where they are.
    fn pack(&self, rows: RowSource<'_, Self::Row>, indices: &[usize]) -> align_data::Result<Self::Batch>;

    /// The batch's stream and what is scored in it.
    fn packed(batch: &Self::Batch) -> &Packed;

    /// Log-probs of the sequences, from those of their tokens: `[tokens]` → `[sequences]`.
    ///
    /// # Errors
    /// If they are not of the batch.
    fn sequence_log_probs(&self, batch: &Self::Batch, tokens: &Tensor) -> candle_core::Result<Tensor>;

    /// The places of a row's answer tokens that are not scored: none, where all of an answer is the assistant's.
    fn context(row: &Self::Row) -> &[u32];

    /// Whatever the numbers depend on beside model, token ids and which of them are scored.
    fn depends_on(&self) -> String;

    /// Log-probs of the batch's sequences under a model, `[sequences]`.
    ///
    /// # Errors
    /// If the model cannot be run.
    fn score(&self, model: &CausalLm, batch: &Self::Batch) -> candle_core::Result<Tensor> {
        self.sequence_log_probs(batch, &model.token_log_probs(Self::packed(batch))?)
    }
}

/// The log-probs of all `rows` under `model`, read from the directory by the first rank, or computed by all, each of its passes, and
/// kept there.
/// `model_hash` is [`align_models::weights_hash`] of the model. `rows_per_batch` matters to methods whose rows'
/// sequences depend on their neighbours.
///
/// # Errors
/// If the model cannot be run or the file cannot be written; a rank with another model or other rows.
pub fn precompute<S: Scoring>(
    scoring: &S,
    model: &CausalLm,
    (dir, model_hash): (&Path, &str),
    rows: RowSource<'_, S::Row>,
    rows_per_batch: Option<usize>,
    ranks: &Ranks,
) -> Result<Reference> {
    let indices: Vec<usize> = (0..rows.len()).collect();
    let rows_per_pass = rows_per_batch.unwrap_or(ROWS_PER_PASS);
    let passes: Vec<&[usize]> = indices.chunks(rows_per_pass).collect();
    let pack = |indices: &[usize]| scoring.pack(rows, indices);
    let owned = |(prompt, answer): (&[u32], &[u32])| (prompt.to_vec(), answer.to_vec());
    let mut sequences: Vec<_> = Vec::new();
    for pass in &passes {
        sequences.extend(S::packed(&pack(pass)?).completions().map(owned));
    }
    let sequences = sequences.iter().map(|(prompt, answer)| (prompt.as_slice(), answer.as_slice()));
    let mut context: Vec<(usize, Vec<u32>)> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let row = row?;
        let places = S::context(&row);
        if !places.is_empty() {
            context.push((number, places.to_vec()));
        }
    }
    let mut key = format!("{model_hash} {}", scoring.depends_on());
    if !context.is_empty() {
        key += &format!(" {context:?}");
    }
    let file = LogProbFile::of(dir, &key, sequences);
    let name = file.path().file_name().unwrap_or_default().display().to_string();
    check_same(ranks, BTreeMap::from([("reference, or what it is asked about".to_owned(), name)]))?;
    // As bits: JSON has no NaN.
    let bits = |log_probs: Vec<f32>| log_probs.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let of_bits = |bits: Vec<u32>| bits.into_iter().map(f32::from_bits).collect::<Vec<_>>();
    if let Some(known) = ranks.from_first(|| Ok::<_, Error>(file.read().map(bits)))? {
        return Ok(Reference::Precomputed(of_bits(known).into()));
    }
    let mut pace = Pace::new("reference log-probs of rows", rows.len());
    let computed = ranks.dealt(passes.len(), |number| {
        let log_probs = scoring.score(model, &pack(passes[number])?)?.to_vec1::<f32>()?;
        pace.advance(rows_per_pass * ranks.size());
        Ok::<_, align_stage::Error>(bits(log_probs))
    })?;
    let log_probs = of_bits(computed.concat());
    ranks.from_first(|| Ok::<_, align_stage::Error>(file.keep(&log_probs)?))?;
    Ok(Reference::Precomputed(log_probs.into()))
}

/// A reference that follows the policy (TR-DPO, Gorbatovski et al. 2024, arXiv:2404.09656): every `steps` updates
/// it becomes `alpha` · policy + (1 − `alpha`) · reference. With `alpha` 1 it is replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixup {
    /// Share of the policy, above 0 and at most 1.
    pub alpha: f64,
    /// Updates between two moves.
    pub steps: usize,
}

/// A reference that follows the policy.
pub struct MovingReference {
    policy: Params,
    reference: Params,
    mixup: Mixup,
}

const FILE: &str = "reference.safetensors";

impl MovingReference {
    /// `policy` may be a view; `reference` must be tracked, and what is compared with holds a view of it.
    ///
    /// # Errors
    /// If the two are not of the same parameters.
    pub fn new(policy: Params, reference: Params, mixup: Mixup) -> align_train::Result<Self> {
        for (name, own) in reference.iter() {
            let shape = policy.get(name).map(|param| param.tensor().dims());
            if shape != Some(own.tensor().dims()) {
                let problem =
                    format!("the reference cannot follow the policy: their `{name}` differ in shape");
                return Err(Error::Option { option: "sync_ref_model", value: "true".to_owned(), problem });
            }
        }
        Ok(Self { policy, reference, mixup })
    }

    /// Moves the reference if it is time to.
    pub(crate) fn after_update(&self, step: usize) -> candle_core::Result<()> {
        if !step.is_multiple_of(self.mixup.steps) {
            return Ok(());
        }
        let alpha = self.mixup.alpha;
        for (name, reference) in self.reference.iter() {
            let policy = self.policy.require(name)?.tensor().detach();
            reference.set(&((policy * alpha)? + (reference.tensor().detach() * (1.0 - alpha))?)?)?;
        }
        Ok(())
    }

    pub(crate) fn save(&self, dir: &Path) -> align_train::Result<()> {
        let tensors: HashMap<String, Tensor> =
            self.reference.iter().map(|(name, param)| (name.to_owned(), param.tensor().detach())).collect();
        candle_core::safetensors::save(&tensors, dir.join(FILE)).map_err(Error::from)
    }

    pub(crate) fn restore(&self, dir: &Path) -> align_train::Result<()> {
        let device = self
            .reference
            .iter()
            .next()
            .map_or(candle_core::Device::Cpu, |(_, param)| param.device().clone());
        let tensors = candle_core::safetensors::load(dir.join(FILE), &device)?;
        for (name, reference) in self.reference.iter() {
            let saved = tensors.get(name);
            let saved =
                saved.ok_or_else(|| Error::stage(format!("the checkpoint's reference lacks `{name}`")))?;
            reference.set(saved)?;
        }
        Ok(())
    }
}
