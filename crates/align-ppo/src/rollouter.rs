//! The seam between the loop and whoever samples: prompts in, completions with their log-probs out.
//!
//! Two policies stand behind a completion. The *behaviour* policy sampled it, and its log-probs are recorded with it. The
//! *old* one is the policy under training when the updates of the phase begin, and ratios are against that. Where the policy
//! samples for itself the two are one. A sampler that computes otherwise, or has weights of an earlier version, is another
//! one: the loop then has the policy compute the old log-probs, and both are there for whoever corrects the difference (TRL's
//! `vllm_importance_sampling_correction` is such a method; none here is).

use align_data::Tokenizer;
use align_models::CausalLm;
use align_models::generation::Streams;
use align_train::Result;

use crate::{Prompt, Rollouts, Sampling};

/// Whoever samples completions.
pub trait Rollouter {
    /// Is told before the completions of a phase are asked for that they are to be sampled from the weights as they are now,
    /// which are those of `version`. Versions only rise.
    ///
    /// # Errors
    /// If the weights cannot be taken over.
    fn weights_changed(&mut self, version: usize) -> Result<()>;

    /// `num_generations` completions of every prompt, with the log-probs that they were sampled with at the run's temperature;
    /// number `i` of them from stream `first + i` of the seed. Of several ranks each asks for its own part of a phase.
    ///
    /// # Errors
    /// If they cannot be had.
    fn rollouts(
        &mut self,
        prompts: Vec<Prompt>,
        num_generations: usize,
        streams: Streams,
    ) -> Result<Rollouts>;

    /// Whether the behaviour policy is the policy under training itself, so that the log-probs it records are also the old
    /// ones.
    fn is_policy(&self) -> bool;
}

/// The policy, which samples in this process and from the very weights that are trained.
pub struct LocalRollouter<'a> {
    /// The policy, over a view of its parameters.
    pub policy: CausalLm,
    /// The sampling of completions.
    pub sampling: Sampling,
    /// The tokenizer, which makes texts of token ids.
    pub tokenizer: &'a Tokenizer,
}

impl Rollouter for LocalRollouter<'_> {
    /// A view sees every update.
    fn weights_changed(&mut self, _version: usize) -> Result<()> {
        Ok(())
    }

    fn rollouts(
        &mut self,
        prompts: Vec<Prompt>,
        num_generations: usize,
        streams: Streams,
    ) -> Result<Rollouts> {
        self.sampling.rollouts(&self.policy, prompts, num_generations, self.tokenizer, streams)
    }

    fn is_policy(&self) -> bool {
        true
    }
}
