//! Optimizers that transformers knows and this project does not, each with the nearest one that is here.

/// Names of `transformers.TrainingArguments.optim`, and what people write for them → what is nearest, and why it is that.
const OTHERS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "adamw_torch_8bit",
            "adamw_torch_4bit",
            "paged_adamw_8bit",
            "galore_adamw_8bit",
            "galore_adamw_8bit_layerwise",
        ],
        "adamw_8bit",
        "AdamW with moments of 8 bits",
    ),
    (
        &[
            "adam",
            "adamw",
            "adamw_hf",
            "adamw_torch_xla",
            "adamw_torch_npu_fused",
            "adamw_apex_fused",
            "adamw_anyprecision",
            "paged_adamw",
            "paged_adamw_32bit",
            "galore_adamw",
            "galore_adamw_layerwise",
            "apollo_adamw",
            "apollo_adamw_layerwise",
            "schedule_free_adamw",
            "schedule_free_radam",
            "stable_adamw",
            "grokadamw",
            "adagrad",
            "ademamix",
            "paged_ademamix_32bit",
            "rmsprop",
            "rmsprop_bnb",
            "rmsprop_bnb_32bit",
        ],
        "adamw_torch",
        "AdamW",
    ),
    (
        &["ademamix_8bit", "paged_ademamix_8bit", "rmsprop_bnb_8bit"],
        "adamw_8bit",
        "AdamW with moments of 8 bits",
    ),
    (&["lion_8bit", "paged_lion_8bit", "paged_lion_32bit"], "lion", "Lion with one float32 moment"),
    (
        &["galore_adafactor", "galore_adafactor_layerwise", "adalomo"],
        "adafactor",
        "Adafactor, which keeps sums of rows and columns",
    ),
    (&["lomo", "schedule_free_sgd"], "sgd", "plain gradient descent"),
];

/// Refuses the name of an optimizer that is not here, with the nearest one.
pub(super) fn check(name: &str) -> Result<(), String> {
    let known = OTHERS.iter().find(|(names, ..)| names.contains(&name));
    known.map_or(Ok(()), |(_, nearest, what)| {
        Err(format!("`{name}` is not supported; the nearest is `{nearest}`: {what}"))
    })
}
