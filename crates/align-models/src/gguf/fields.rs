//! What a file says of a model, from the model's plan; and the check that it says all of it.

use align_gguf::{Field, Fields};
use serde_json::Value;

use super::families::Family;
use super::rope::{DIVISORS, LONG, SHORT, divisors_of};
use crate::{DecoderConfig, Error, Result, RopeScaling, Rotary};

/// Metadata, and the tensors that belong to it.
pub(super) struct Described {
    pub(super) fields: Fields,
    pub(super) tensors: Vec<(&'static str, Vec<f32>)>,
}

/// The metadata of a model of that plan, whose `config.json` is `json`.
///
/// # Errors
/// A scaling of rotations that files have no words for.
pub(super) fn describe(plan: &DecoderConfig, family: &Family, json: &Value) -> Result<Described> {
    let layer = plan.layers.first().ok_or_else(|| Error::Config("a model without layers".to_owned()))?;
    let (attention, mlp) = (&layer.attention, &layer.mlp);
    let rotary =
        plan.rotaries.first().ok_or_else(|| Error::Config("a model without rotations".to_owned()))?;
    let mut described = Described { fields: Vec::new(), tensors: Vec::new() };
    let Described { fields, .. } = &mut described;
    let key = |name: &str| format!("{}.{name}", family.gguf);
    let mut size = |name: &str, size: usize| fields.push((key(name), Field::U32(size as u32)));
    let window = plan.layers.iter().filter_map(|layer| layer.attention.window).min();
    let has_window = has_window(family);
    // Within its window a model without one is the same model; llama.cpp reads Phi's and leaves it off.
    let is_ignored = !has_window || family.gguf == "phi3";
    let positions = window.filter(|_| is_ignored).map_or(plan.max_positions, |it| it.min(plan.max_positions));
    size("block_count", plan.layers.len());
    size("context_length", positions);
    size("embedding_length", plan.hidden);
    size("feed_forward_length", mlp.gate.outputs);
    size("attention.head_count", attention.heads());
    size("attention.head_count_kv", attention.kv_heads());
    size("attention.key_length", attention.head_dim);
    size("attention.value_length", attention.head_dim);
    size("rope.dimension_count", rotary.dim);
    size("vocab_size", plan.vocab);
    if let Some(window) = window.filter(|_| has_window) {
        size("attention.sliding_window", window);
    }
    let mut number = |name: &str, number: f64| fields.push((key(name), Field::F32(number as f32)));
    number("attention.layer_norm_rms_epsilon", plan.norm.epsilon);
    number("rope.freq_base", rotary.theta.into());
    match family.gguf {
        "granite" => {
            number("attention.scale", attention.scale);
            number("embedding_scale", plan.embedding_scale);
            number("residual_scale", layer.residual_scale);
            number("logit_scale", 1.0 / plan.head.scale);
        }
        "gemma3" => {
            let sliding = plan.rotaries.get(1).unwrap_or(rotary);
            number("rope.freq_base_swa", sliding.theta.into());
        }
        _ => {}
    }
    if let Some(cap) = attention.softcap {
        number("attn_logit_softcapping", cap);
    }
    if let Some(cap) = plan.head.softcap {
        number("final_logit_softcapping", cap);
    }
    scaling(rotary, family, json, &mut described)?;
    Ok(described)
}

/// Whether the family's files have a window.
fn has_window(family: &Family) -> bool {
    matches!(family.gguf, "gemma2" | "gemma3" | "phi3")
}

fn scaling(rotary: &Rotary, family: &Family, json: &Value, to: &mut Described) -> Result<()> {
    let key = |name: &str| format!("{}.rope.scaling.{name}", family.gguf);
    let mut kind = |name: &str, factor: f32| {
        to.fields.push((key("type"), Field::Text(name.to_owned())));
        to.fields.push((key("factor"), Field::F32(factor)));
    };
    match &rotary.scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => kind("linear", *factor),
        RopeScaling::Llama3 { .. } => to.tensors.push((DIVISORS, divisors_of(rotary))),
        RopeScaling::LongRope { short, long, original_max_positions, attention_scaling }
            if family.gguf == "phi3" =>
        {
            let original = Field::U32(*original_max_positions as u32);
            to.fields.push((key("original_context_length"), original));
            to.fields.push((key("attn_factor"), Field::F32(*attention_scaling)));
            to.tensors.extend([(LONG, long.clone()), (SHORT, short.clone())]);
        }
        RopeScaling::Yarn { factor, attention_scaling, .. } => {
            kind("yarn", *factor);
            let written =
                [&json["rope_scaling"], &json["rope_parameters"]].into_iter().find(|it| it.is_object());
            let written = written.unwrap_or(&Value::Null);
            let original = &written["original_max_position_embeddings"];
            if let Some(original) = original.as_u64().and_then(|it| u32::try_from(it).ok()) {
                to.fields.push((key("original_context_length"), Field::U32(original)));
            }
            for (name, called) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                if let Some(beta) = written[called].as_f64() {
                    to.fields.push((key(name), Field::F32(beta as f32)));
                }
            }
            // llama.cpp multiplies with what the paper says by itself.
            let more = f64::from(*attention_scaling) / (1.0 + 0.1 * f64::from(*factor).ln());
            if (more - 1.0).abs() > 1e-6 {
                to.fields.push((key("attn_factor"), Field::F32(more as f32)));
            }
        }
        other => {
            let name = if matches!(other, RopeScaling::Dynamic { .. }) { "dynamic" } else { "longrope" };
            return Err(Error::Config(format!(
                "rotations scaled by `{name}` cannot be written as a GGUF file"
            )));
        }
    }
    Ok(())
}

/// Refuses a file that would be read as another function: `read` is the plan that it says, `plan` the model's.
///
/// # Errors
/// With the first part that differs.
pub(super) fn check(plan: &DecoderConfig, read: &DecoderConfig, family: &Family) -> Result<()> {
    let same_rotations = |a: &Rotary, b: &Rotary| {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs();
        let lengths = [1, plan.max_positions];
        let same = lengths.map(|length| (a.inverse_frequencies(length), b.inverse_frequencies(length)));
        same.iter().all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(close))
            && close((&a.attention_scaling(), &b.attention_scaling()))
    };
    let rotations = plan.rotaries.len() == read.rotaries.len()
        && plan.rotaries.iter().zip(&read.rotaries).all(|(a, b)| same_rotations(a, b));
    let mut plan = plan.clone();
    if !has_window(family) {
        plan.layers.iter_mut().for_each(|layer| layer.attention.window = None);
    }
    let layers = plan.layers.iter().zip(&read.layers).position(|(a, b)| a != b);
    let different = match () {
        () if !rotations => "its rotations".to_owned(),
        () if plan.query_scaling != read.query_scaling => {
            "how queries far from the start are scaled".to_owned()
        }
        () if plan.embedding_scale != read.embedding_scale => "the factor of embedded tokens".to_owned(),
        () if (&plan.head, &plan.norm) != (&read.head, &read.norm) => {
            "the head or the norm before it".to_owned()
        }
        () if plan.layers.len() != read.layers.len() => "the number of layers".to_owned(),
        () => match layers {
            None => return Ok(()),
            Some(layer) => format!("what layer {layer} computes"),
        },
    };
    let family = family.gguf;
    Err(Error::Config(format!(
        "a GGUF file of the family `{family}` cannot say what this model does ({different}), so that llama.cpp would compute \
         something else"
    )))
}
