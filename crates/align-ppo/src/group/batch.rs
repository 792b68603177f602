//! Micro-batches of completions, each prompt once.

use align_losses::Sequences;
use align_models::Packed;
use candle_core::{Device, Result, Tensor};

/// A completion as the update sees it.
#[derive(Clone, Copy, Debug)]
pub struct GroupCompletion<'a> {
    /// Its prompt's token ids. Completions of one prompt that follow each other share it.
    pub prompt: &'a [u32],
    /// Its own token ids.
    pub tokens: &'a [u32],
    /// Its advantage: how much better it is than its baseline.
    pub advantage: f64,
    /// Log-probs of its tokens when it was sampled; none where they are the policy's own at the update, which then has
    /// ratio 1.
    pub old_log_probs: Option<&'a [f32]>,
    /// Log-probs of its tokens under the reference, if there is one.
    pub reference_log_probs: Option<&'a [f32]>,
    /// Whether it has a part in the loss. One that has none still counts where completions are counted, as in TRL, and
    /// costs nothing.
    pub counts: bool,
}

/// A micro-batch of completions of a phase, packed.
#[derive(Clone, Debug, Default)]
pub struct GroupBatch {
    /// The stream; a completion is a sequence, without tokens if it has no part in the loss.
    pub packed: Packed,
    advantages: Vec<f32>,
    old_log_probs: Option<Vec<f32>>,
    reference_log_probs: Option<Vec<f32>>,
    rows: Vec<String>,
    /// Completions of micro-batches that had nothing to learn from, which are counted with this one.
    absorbed: usize,
    micro_batches: usize,
}

impl GroupBatch {
    /// Packs completions; `rows` says of each what a person would look it up by.
    ///
    /// # Errors
    /// If log-probs are given of some completions and not of others, or not one per token.
    pub fn new(completions: &[GroupCompletion<'_>], rows: Vec<String>) -> Result<Self> {
        let mut packed = Packed::default();
        for group in completions.chunk_by(|a, b| a.prompt == b.prompt) {
            let tokens: Vec<&[u32]> = group
                .iter()
                .map(|completion| if completion.counts { completion.tokens } else { &[] })
                .collect();
            packed.push_completions(group[0].prompt, &tokens);
        }
        Ok(Self {
            packed,
            advantages: completions.iter().map(|completion| completion.advantage as f32).collect(),
            old_log_probs: of_tokens(completions, |completion| completion.old_log_probs)?,
            reference_log_probs: of_tokens(completions, |completion| completion.reference_log_probs)?,
            rows,
            absorbed: 0,
            micro_batches: 1,
        })
    }

    /// True if no completion has a token in the loss.
    pub fn is_empty(&self) -> bool {
        self.packed.targets.is_empty()
    }

    /// Counts the completions of an empty micro-batch with this one.
    pub(super) fn absorb(&mut self, empty: &Self) {
        self.absorbed += empty.completions();
        self.micro_batches += empty.micro_batches;
    }

    /// Completions, those that have no part in the loss included.
    pub(super) fn completions(&self) -> usize {
        self.packed.sequences + self.absorbed
    }

    /// Micro-batches that this one stands for: itself and those it absorbed.
    pub(super) fn micro_batches(&self) -> usize {
        self.micro_batches
    }

    pub(super) fn rows(&self) -> Vec<String> {
        self.rows.clone()
    }

    /// Which tokens make which completion.
    pub(super) fn sequences(&self, device: &Device) -> Result<Sequences> {
        Sequences::packed(&self.packed.targets.sequences, self.packed.sequences, device)
    }

    /// `[sequences]`.
    pub(super) fn advantages(&self, device: &Device) -> Result<Tensor> {
        Tensor::new(self.advantages.as_slice(), device)
    }

    /// `[tokens]`, if they were recorded.
    pub(super) fn old_log_probs(&self, device: &Device) -> Result<Option<Tensor>> {
        self.old_log_probs.as_ref().map(|values| Tensor::new(values.as_slice(), device)).transpose()
    }

    /// `[tokens]`, if there is a reference.
    pub(super) fn reference_log_probs(&self, device: &Device) -> Result<Option<Tensor>> {
        self.reference_log_probs.as_ref().map(|values| Tensor::new(values.as_slice(), device)).transpose()
    }
}

/// The values of all tokens in the loss, in their order; none if no completion has any.
fn of_tokens<'a>(
    completions: &[GroupCompletion<'a>],
    of: impl Fn(&GroupCompletion<'a>) -> Option<&'a [f32]>,
) -> Result<Option<Vec<f32>>> {
    let mut values = Vec::new();
    let (mut given, mut counted) = (0, 0);
    for completion in completions.iter().filter(|completion| completion.counts) {
        counted += 1;
        let Some(log_probs) = of(completion) else { continue };
        if log_probs.len() != completion.tokens.len() {
            let (found, expected) = (log_probs.len(), completion.tokens.len());
            candle_core::bail!(
                "expected a log-prob for each of a completion's {expected} tokens, got {found}"
            );
        }
        given += 1;
        values.extend(log_probs);
    }
    if given != 0 && given != counted {
        candle_core::bail!(
            "expected log-probs of all {counted} completions or of none, got those of {given}"
        );
    }
    Ok((given > 0).then_some(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion<'a>(
        prompt: &'a [u32],
        tokens: &'a [u32],
        log_probs: Option<&'a [f32]>,
    ) -> GroupCompletion<'a> {
        let (old_log_probs, reference_log_probs) = (log_probs, None);
        GroupCompletion { prompt, tokens, advantage: 1.0, old_log_probs, reference_log_probs, counts: true }
    }

    #[test]
    fn a_group_has_its_prompt_once_and_what_does_not_count_is_not_computed() {
        let prompt: &[u32] = &[1, 2, 3];
        let left_out = GroupCompletion { counts: false, ..completion(prompt, &[6, 7, 8], None) };
        let group = [completion(prompt, &[4, 5], None), left_out, completion(&[9], &[6], None)];
        let batch = GroupBatch::new(&group, Vec::new()).unwrap();
        assert_eq!(batch.packed.stream.tokens, [1, 2, 3, 4, 5, 9, 6]);
        assert_eq!((batch.completions(), batch.packed.targets.len()), (3, 3));
        assert_eq!(batch.sequences(&Device::Cpu).unwrap().lengths(), [2, 0, 1]);
    }

    #[test]
    fn log_probs_are_of_every_token_of_every_completion() {
        let whole = completion(&[1], &[4, 5], Some(&[-0.5, -0.25]));
        let batch = GroupBatch::new(&[whole, whole], Vec::new()).unwrap();
        let old = batch.old_log_probs(&Device::Cpu).unwrap().unwrap();
        assert_eq!(old.to_vec1::<f32>().unwrap(), [-0.5, -0.25, -0.5, -0.25]);
        let error = |broken| GroupBatch::new(&[whole, broken], Vec::new()).unwrap_err().to_string();
        assert!(
            error(completion(&[1], &[4, 5], Some(&[-0.5])))
                .contains("each of a completion's 2 tokens, got 1")
        );
        assert!(
            error(completion(&[1], &[4, 5], None)).contains("all 2 completions or of none, got those of 1")
        );
    }
}
