//! `trainer_state.json`, field for field as transformers writes and reads it. What resuming needs beyond
//! it is in [`Progress`](crate::progress::Progress): transformers refuses a file with fields of ours.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entry of the log: metric names and values, with `epoch` and `step`.
pub type LogEntry = Map<String, Value>;

/// The state of a run so far, in the form of transformers' `TrainerState`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// The step of the best evaluation.
    pub best_global_step: Option<usize>,
    /// The best value of `metric_for_best_model`.
    pub best_metric: Option<f64>,
    /// The checkpoint of the best evaluation.
    pub best_model_checkpoint: Option<String>,
    /// Epochs done, with the fraction of the current one.
    pub epoch: f64,
    /// Updates between two evaluations; 0 where they do not go by steps.
    pub eval_steps: usize,
    /// Updates done.
    pub global_step: usize,
    /// Always false.
    pub is_hyper_param_search: bool,
    /// Always true.
    pub is_local_process_zero: bool,
    /// Always true.
    pub is_world_process_zero: bool,
    /// Everything logged since the beginning of the run.
    pub log_history: Vec<LogEntry>,
    /// Updates between two log entries.
    pub logging_steps: usize,
    /// Updates of the whole run.
    pub max_steps: usize,
    /// Tokens seen, where the objective counts `num_tokens`.
    pub num_input_tokens_seen: usize,
    /// Epochs begun when the run is over.
    pub num_train_epochs: usize,
    /// Updates between two checkpoints; 0 where they do not go by steps.
    pub save_steps: usize,
    /// Always empty.
    pub stateful_callbacks: Map<String, Value>,
    /// Examples per micro-batch.
    pub train_batch_size: usize,
    /// Always none.
    pub trial_name: Option<String>,
    /// Always none.
    pub trial_params: Option<Value>,
}

impl Default for TrainerState {
    fn default() -> Self {
        Self {
            best_global_step: None,
            best_metric: None,
            best_model_checkpoint: None,
            epoch: 0.0,
            eval_steps: 0,
            global_step: 0,
            is_hyper_param_search: false,
            is_local_process_zero: true,
            is_world_process_zero: true,
            log_history: Vec::new(),
            logging_steps: 0,
            max_steps: 0,
            num_input_tokens_seen: 0,
            num_train_epochs: 0,
            save_steps: 0,
            stateful_callbacks: Map::new(),
            train_batch_size: 0,
            trial_name: None,
            trial_params: None,
        }
    }
}
