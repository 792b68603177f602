//! Where a model's tensors are in a GGUF file: names and layouts, from the one table.

use std::collections::BTreeMap;

use super::families::Family;
use crate::plan::{bias, weight};
use crate::{DecoderConfig, LinearPlan, NormPlan};

/// Where a tensor is, and how its rows lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its name in the file.
    pub(crate) name: String,
    /// The heads whose rows are interleaved, if they are.
    pub(crate) heads: Option<usize>,
    /// Whether 1 was added.
    pub(crate) plus_one: bool,
}

/// The places of all tensors of a model, by their names in a Hugging Face directory.
pub(crate) fn places(config: &DecoderConfig, family: &Family) -> BTreeMap<String, Place> {
    let mut all = BTreeMap::new();
    let plain = |name: String| Place { name, heads: None, plus_one: false };
    all.insert(weight(&config.embedding), plain(weight("token_embd")));
    if !config.tied_embeddings {
        all.insert(weight(&config.head.name), plain(weight("output")));
    }
    let mut norm = |plan: &NormPlan, name: String| {
        let place = Place { plus_one: plan.around_zero, ..plain(weight(&name)) };
        all.insert(weight(&plan.name), place);
    };
    norm(&config.norm, "output_norm".to_owned());
    for (index, layer) in config.layers.iter().enumerate() {
        let (attention, mlp) = (&layer.attention, &layer.mlp);
        let norms = [
            (&attention.norm, "attn_norm"),
            (&attention.post_norm, "post_attention_norm"),
            (&mlp.norm, "ffn_norm"),
            (&mlp.post_norm, "post_ffw_norm"),
        ];
        for (plan, name) in norms.into_iter().filter_map(|(plan, name)| Some((plan.as_ref()?, name))) {
            norm(plan, format!("blk.{index}.{name}"));
        }
        if let Some([query, key]) = &attention.head_norms {
            norm(query, format!("blk.{index}.attn_q_norm"));
            norm(key, format!("blk.{index}.attn_k_norm"));
        }
    }
    for linear in modules(config, family) {
        let LinearModule { plan, name, heads } = linear;
        let place = |name: String| Place { name, heads, plus_one: false };
        all.insert(weight(plan.module()), place(weight(&name)));
        if plan.bias {
            all.insert(bias(plan.module()), place(bias(&name)));
        }
    }
    all
}

/// A linear layer, and the module of the file that holds it.
pub(crate) struct LinearModule<'a> {
    pub(crate) plan: &'a LinearPlan,
    /// Without `.weight`.
    pub(crate) name: String,
    pub(crate) heads: Option<usize>,
}

/// All linear layers of the decoder's layers.
pub(crate) fn modules<'a>(
    config: &'a DecoderConfig,
    family: &'a Family,
) -> impl Iterator<Item = LinearModule<'a>> {
    config.layers.iter().enumerate().flat_map(move |(index, layer)| {
        let (attention, mlp) = (&layer.attention, &layer.mlp);
        let permuted = |heads: usize| Some(heads).filter(|_| family.permuted);
        [
            (&attention.query, "attn_q", permuted(attention.heads())),
            (&attention.key, "attn_k", permuted(attention.kv_heads())),
            (&attention.value, "attn_v", None),
            (&attention.output, "attn_output", None),
            (&mlp.gate, "ffn_gate", None),
            (&mlp.up, "ffn_up", None),
            (&mlp.down, "ffn_down", None),
        ]
        .into_iter()
        .map(move |(plan, name, heads)| {
            // Phi's files call what is fused after one of its parts.
            let name = match (&plan.fused_in, name) {
                (None, name) => name,
                (Some(_), "ffn_gate" | "ffn_up") => "ffn_up",
                (Some(_), _) => "attn_qkv",
            };
            LinearModule { plan, name: format!("blk.{index}.{name}"), heads }
        })
    })
}

/// Which row of a file's tensor holds row `row` of the model's, if pairs of rows of each of `heads` heads are neighbours there
/// that are halves of the head here.
pub(crate) fn row_in_file(row: usize, rows: usize, heads: usize) -> usize {
    let width = rows / heads.max(1);
    let (head, at) = (row / width, row % width);
    let half = width / 2;
    head * width + if at < half { 2 * at } else { 2 * (at - half) + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_head_are_neighbours_in_the_file() {
        // reshape(heads, 2, width / 2).swap(1, 2) of rows 0 to 7, as convert_hf_to_gguf.py writes them.
        let order: Vec<usize> = (0..8).map(|row| row_in_file(row, 8, 2)).collect();
        let mut file = [0; 8];
        order.iter().enumerate().for_each(|(row, at)| file[*at] = row);
        assert_eq!(file, [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
