//! The options, one by one.

use super::Idle::{self, Any, Count, Either, Never, Off, On, Words};

/// A name, the values with which it is left out, and why; or what is here instead.
pub(super) type Row = (&'static str, Idle, &'static str);

const ATTENTION: &str = "there is one attention, chosen for the device";
const COMPILER: &str = "there is no compiler; the kernels are ahead-of-time Rust";
const DISTRIBUTED: &str = "several processes are started by `mpirun`, and no option is about them";
const HUB: &str = "nothing is uploaded; the output directory can be pushed with `hf upload`";
const KERNELS: &str = "there is one set of kernels, chosen for the device";
const LAYOUT: &str = "batches are packed without padding";
const LIKELIHOOD: &str = "the chosen answer's likelihood is a loss of its own: `loss_type` sigmoid,sft with `loss_weights` 1,ALPHA";
const LOADING: &str = "records are read in this process, ahead of training";
const LOGS: &str = "metrics are written into the output directory, which names the run";
const MATCHING: &str = "prompts are not embedded, so their distributions cannot be matched";
const MEMORY: &str = "to save more memory, lower `per_device_train_batch_size`";
const MODEL: &str =
    "`model_revision`, `dtype`, `load_in_4bit` and `load_in_8bit` say how the model is loaded";
const OPTIM: &str = "the optimizer is named by `optim` (here: `adafactor`)";
const PACKING: &str = "only `train-sft` fills bins (`packing`); here batches have no padding anyway";
const PRECISION: &str = "weights are always float32, and products can be in bfloat16 (`dtype`)";
const SAMPLER: &str = "completions are sampled in this process, by the policy itself";
const SOURCES: &str = "data sets are named by `dataset_name`, by `datasets` (each with its `path`, `name`, `split`, `fraction`), or by \
                       `dataset_mixer` (with the shares of their rows) and `dataset_train_split`";
const UNKNOWN_CODE: &str =
    "no code of a model repository is ever run; a model that needs it is refused by its architecture";

/// Options of TRL and transformers, then those of Axolotl.
pub(super) const OPTIONS: &[Row] = &[
    // Precision and device.
    ("fp16", Off, PRECISION),
    ("tf32", Either, PRECISION),
    ("bf16-full-eval", Off, "evaluation is computed in the precision of training, which `dtype` says"),
    ("fp16-full-eval", Off, PRECISION),
    ("bnb-4bit-compute-dtype", Never, "`dtype` says what products are computed in"),
    ("bnb-4bit-quant-storage", Any, "weights of 4 bits are kept as bytes"),
    ("use-cpu", Off, "the device is named by `device` (here: `cpu`)"),
    ("no-cuda", Off, "the device is named by `device` (here: `cpu`)"),
    ("use-mps-device", Off, "the device is named by `device` (here: `metal`)"),
    // Kernels and memory.
    ("attn-implementation", Any, ATTENTION),
    ("use-flash-attention-2", Either, ATTENTION),
    ("use-liger-kernel", Either, KERNELS),
    ("use-liger-loss", Either, KERNELS),
    ("use-liger", Either, KERNELS),
    ("liger-kernel-config", Any, KERNELS),
    ("torch-compile", Either, COMPILER),
    ("torch-compile-backend", Any, COMPILER),
    ("torch-compile-mode", Any, COMPILER),
    (
        "gradient-checkpointing-kwargs",
        Any,
        "`gradient_checkpointing` is done in one way, with the same result",
    ),
    ("activation-checkpointing", Off, "it is called `gradient_checkpointing`"),
    ("activation-offloading", Off, MEMORY),
    ("auto-find-batch-size", Off, MEMORY),
    ("torch-empty-cache-steps", Any, "it changes no result"),
    ("use-cache", Either, "training keeps no keys and values"),
    // The model.
    ("trust-remote-code", Either, UNKNOWN_CODE),
    ("model-init-kwargs", Never, MODEL),
    ("ref-model-init-kwargs", Never, MODEL),
    ("disable-dropout", Either, "the models have no dropout"),
    ("is-encoder-decoder", Off, "models are decoders"),
    ("router-aux-loss-coef", Any, "the models have no experts to balance"),
    ("lora-target-parameters", Never, "adapters are of modules: `lora_target_modules`"),
    (
        "chat-template",
        Never,
        "a template is a file, `chat_template_path` of `train-sft`; elsewhere the model's own holds",
    ),
    ("eos-token", Never, "rows end as the model's tokenizer and template end them"),
    ("pad-token", Never, LAYOUT),
    // Data.
    ("packing", Off, PACKING),
    ("eval-packing", Either, "held-out rows are measured one by one, which gives the same"),
    ("padding-free", Either, LAYOUT),
    ("pad-to-multiple-of", Any, LAYOUT),
    ("padding-value", Any, LAYOUT),
    ("label-pad-token-id", Any, LAYOUT),
    ("group-by-length", Off, "give `train_sampling_strategy` group_by_length"),
    ("length-column-name", Any, LAYOUT),
    ("dataset-mixture", Never, SOURCES),
    ("dataset-splits", Never, SOURCES),
    ("dataset-configs", Never, SOURCES),
    ("dataset-weights", Never, SOURCES),
    ("test-split-size", Never, "held-out rows are named: a split of the data set, or `eval_dataset`"),
    ("dataset-kwargs", Never, "what a row is, its columns say; others are named by `column_mapping`"),
    ("dataset-text-field", Words(&["text"]), "a text's column is `text`; give `column_mapping` text=NAME"),
    ("dataset-num-proc", Count, LOADING),
    ("preprocessing-num-workers", Count, LOADING),
    ("dataset-batch-size", Count, LOADING),
    ("dataloader-num-workers", Count, LOADING),
    ("dataloader-prefetch-factor", Count, LOADING),
    ("dataloader-pin-memory", Either, LOADING),
    ("dataloader-persistent-workers", Either, LOADING),
    ("dataloader-multiprocessing-context", Any, LOADING),
    ("dataloader-in-order", Either, LOADING),
    ("dataloader-drop-last", Off, "the last rows of an epoch are learned too, by their own number"),
    ("remove-unused-columns", Either, "columns that are not needed are never read"),
    (
        "shuffle-dataset",
        On,
        "rows are shuffled anew every epoch; `train_sampling_strategy` sequential leaves them",
    ),
    ("data-seed", Never, "`seed` decides the order of the data too"),
    ("ignore-data-skip", Off, "a resumed run always goes on at the row where it stopped"),
    ("label-names", Never, "labels are made of the rows"),
    // The loss.
    ("average-tokens-across-devices", Either, DISTRIBUTED),
    ("use-logits-to-keep", Either, "log-probs are computed of completions alone"),
    ("rpo-alpha", Never, LIKELIHOOD),
    ("pref-ftx", Never, LIKELIHOOD),
    ("prompt-sample-size", Never, MATCHING),
    ("min-density-ratio", Never, MATCHING),
    ("max-density-ratio", Never, MATCHING),
    ("precompute-ref-batch-size", Count, "the reference's batches are those of evaluation"),
    ("adafactor", Off, OPTIM),
    ("optim-target-modules", Never, "optimizers are of all trained weights"),
    (
        "batch-size",
        Never,
        "a micro-batch is `per_device_train_batch_size`, an update `gradient_accumulation_steps` of them",
    ),
    ("mini-batch-size", Never, "a micro-batch is `per_device_train_batch_size`"),
    ("local-rollout-forward-batch-size", Count, "a completion does not depend on what it is sampled beside"),
    ("num-sample-generations", Count, "held-out prompts are answered before training and after it"),
    ("stop-token", Words(&["eos"]), "a completion ends with the end-of-sequence token"),
    ("use-vllm", Either, SAMPLER),
    ("use-transformers-paged", Either, SAMPLER),
    ("log-completions", Either, "the log holds figures; `generate` shows what a checkpoint writes"),
    ("num-completions-to-print", Any, "the log holds figures; `generate` shows what a checkpoint writes"),
    ("generate-during-eval", Off, "the `generate` program shows what a checkpoint writes"),
    // What a call does.
    ("do-train", On, "a training program trains; `--dry-run` only looks"),
    ("do-eval", Either, "held-out rows are evaluated as `eval_strategy` says"),
    ("do-predict", Off, "`generate` and `score` are programs of their own"),
    ("env", Never, "variables of the environment are set where the program is called"),
    ("full-determinism", Off, "every run on the CPU is deterministic"),
    // Evaluation and logs.
    ("prediction-loss-only", Either, "evaluation keeps no logits"),
    ("eval-accumulation-steps", Any, "evaluation keeps no logits"),
    ("eval-do-concat-batches", Either, "evaluation keeps no logits"),
    ("batch-eval-metrics", Either, "evaluation keeps no logits"),
    ("eval-use-gather-object", Either, DISTRIBUTED),
    ("eval-delay", Words(&["0", "0.0"]), "evaluations begin with the first that `eval_steps` names"),
    ("logging-strategy", Words(&["steps"]), "`logging_steps` says how often"),
    ("logging-dir", Any, LOGS),
    ("run-name", Any, LOGS),
    ("exp-name", Any, LOGS),
    ("project", Any, LOGS),
    ("logging-nan-inf-filter", Either, "a loss that is not finite ends the run"),
    ("log-level", Any, "`quiet` says less"),
    ("log-level-replica", Any, DISTRIBUTED),
    ("log-on-each-node", Either, DISTRIBUTED),
    ("disable-tqdm", Either, "`quiet` says less"),
    ("include-num-input-tokens-seen", Any, "tokens are counted in any case"),
    ("include-tokens-per-second", Either, "tokens are counted in any case"),
    ("skip-memory-metrics", Either, "memory is no metric"),
    ("debug", Words(&["", "[]"]), "there is nothing of the sort"),
    // Checkpoints and the hub.
    ("save-safetensors", On, "models are always written as safetensors"),
    ("save-only-model", Off, "checkpoints are complete, so that a run can go on"),
    ("save-on-each-node", Either, DISTRIBUTED),
    ("restore-callback-states-from-checkpoint", Either, "a resumed run goes on as it was"),
    ("push-to-hub", Off, HUB),
    // Processes.
    ("deepspeed", Words(&[""]), DISTRIBUTED),
    ("fsdp", Words(&["", "[]"]), DISTRIBUTED),
    ("local-rank", Words(&["-1", "0"]), DISTRIBUTED),
    ("accelerator-config", Never, DISTRIBUTED),
    ("parallelism-config", Never, DISTRIBUTED),
    ("ignore-bias-buffers", Either, DISTRIBUTED),
    // Axolotl.
    ("model-type", Any, "config.json says what the model is"),
    ("tokenizer-type", Any, "the model's directory says what its tokenizer is"),
    ("is-llama-derived-model", Either, "config.json says what the model is"),
    ("strict", Either, "every key of a file is checked"),
    ("dataset-prepared-path", Any, LOADING),
    ("dataset-processes", Count, LOADING),
    (
        "val-set-size",
        Words(&["0", "0.0"]),
        "held-out rows are named: `eval_dataset`, or a part as `dataset_test_split` train[95%:]",
    ),
    ("special-tokens", Never, "the tokenizer is taken and saved as it is"),
    ("tokens", Never, "the tokenizer is taken and saved as it is"),
    ("eot-tokens", Never, "turns end as the chat template ends them"),
    ("sample-packing", Off, PACKING),
    ("eval-sample-packing", Either, "held-out rows are measured one by one, which gives the same"),
    ("pad-to-sequence-len", Either, LAYOUT),
    ("train-on-inputs", Off, "prompts are learned with `completion_only_loss` false"),
    ("lora-target-linear", On, "`lora_target_modules` names modules; all linear ones are the default"),
    ("lora-fan-in-fan-out", Off, "adapters are of linear layers"),
    ("lora-model-dir", Never, "an adapter that is trained further is the model: `model_name_or_path`"),
    ("unfrozen-parameters", Never, "all weights are trained, or an adapter"),
    ("evals-per-epoch", Never, "give `eval_strategy` epoch, or `eval_steps`"),
    ("saves-per-epoch", Never, "give `save_strategy` epoch, or `save_steps`"),
    ("flash-attention", Either, ATTENTION),
    ("xformers-attention", Either, ATTENTION),
    ("sdp-attention", Either, ATTENTION),
    ("loss-watchdog-threshold", Never, "a loss that is not finite ends the run, and no other"),
    ("loss-watchdog-patience", Never, "a loss that is not finite ends the run, and no other"),
    ("eval-table-size", Any, LOGS),
    ("plugins", Never, "there are no plugins"),
];

/// Options whose names begin alike.
pub(super) const FAMILIES: &[Row] = &[
    ("vllm-", Any, SAMPLER),
    ("hub-", Any, HUB),
    ("push-to-hub-", Any, HUB),
    ("wandb-", Any, LOGS),
    ("trackio-", Any, LOGS),
    ("ddp-", Any, DISTRIBUTED),
    ("fsdp-", Any, DISTRIBUTED),
    ("flash-attn-", Either, ATTENTION),
    ("liger-", Either, KERNELS),
];
