//! What a stage says of its run, so that its memory can be predicted.

use align_models::footprint::PassSize;
use align_models::{DecoderConfig, RewardHead, WeightBytes};

/// What takes memory in a run beside the model that it trains and its options.
#[derive(Clone, Default)]
pub struct MemoryNeeds {
    /// The size that each training row has in a micro-batch.
    pub train: Vec<PassSize>,
    /// The same of held-out rows, which are measured.
    pub held_out: Vec<PassSize>,
    /// The tokens of the bins that rows are packed into, if they are; then micro-batches count bins.
    pub bins: Option<usize>,
    /// The order of the training rows is not known in advance: a micro-batch may be made of the largest ones.
    pub any_order: bool,
    /// The reward head of the model that is trained, if it is a reward model.
    pub head: Option<RewardHead>,
    /// Whether the head alone is trained, over states that are computed once.
    pub frozen_backbone: bool,
    /// Whether weights are drawn and not read.
    pub from_scratch: bool,
    /// Whether the saved model is read again beside the trained one.
    pub reads_again: bool,
    /// What the model is held to, if it is held to one.
    pub reference: Option<Frozen>,
    /// Other models in memory, none of which is trained.
    pub others: u64,
    /// What is trained beside the model: a critic.
    pub second: Option<Second>,
    /// Tokens that generation has in its cache at most.
    pub cached_tokens: usize,
    /// What makes an update depend on how it is cut into micro-batches.
    pub of_micro_batch: Option<String>,
}

/// A frozen reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// What its weights take; none if it is the model as it starts.
    pub own: Option<WeightBytes>,
    /// Whether it is in memory before training and in evaluations alone, its log-probs being computed in advance.
    pub in_advance: bool,
    /// Whether it follows the policy, for which it is copied.
    pub moves: bool,
    /// Whether the option that computes its log-probs in advance would leave the run the same.
    pub may_be_in_advance: bool,
}

/// A second model that the same updates train.
#[derive(Clone)]
pub struct Second {
    /// Its shape.
    pub config: DecoderConfig,
    /// Names and shapes of its trained parameters.
    pub trained: Vec<(String, Vec<usize>)>,
    /// Whether it runs through layers of its own.
    pub has_layers: bool,
}
