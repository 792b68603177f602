//! Rotations as GGUF files have them: a scaling in the metadata, or divisors of the frequencies in a tensor.

use serde_json::{Value, json};

use super::config::Of;
use crate::{Result, RopeScaling, Rotary};

/// Divisors for all lengths, and for long and short sequences.
pub(super) const DIVISORS: &str = "rope_freqs.weight";
pub(super) const LONG: &str = "rope_factors_long.weight";
pub(super) const SHORT: &str = "rope_factors_short.weight";

/// Tensors that hold no parameter of the model.
pub(super) const TENSORS: [&str; 3] = [DIVISORS, LONG, SHORT];

/// Writes what the file says of rotations into a config that has the sizes already.
pub(super) fn read(of: &Of<'_>, config: &mut Value) -> Result<()> {
    let theta = of.optional_number("rope.freq_base")?.unwrap_or(10_000.0);
    config["rope_theta"] = json!(theta);
    let head_dim = config["head_dim"].as_u64().unwrap_or(0) as usize;
    let turned = of.optional_size("rope.dimension_count")?.unwrap_or(head_dim);
    if turned != head_dim {
        config["partial_rotary_factor"] = json!(turned as f64 / head_dim.max(1) as f64);
    }
    let original = of.optional_size("rope.scaling.original_context_length")?;
    if let (Some(long), Some(short)) = (divisors(of, LONG)?, divisors(of, SHORT)?) {
        let original = original.unwrap_or(4096);
        config["original_max_position_embeddings"] = json!(original);
        config["rope_scaling"] =
            json!({ "rope_type": "longrope", "long_factor": long, "short_factor": short });
        if let Some(factor) = of.optional_number("rope.scaling.attn_factor")? {
            config["rope_scaling"]["attention_factor"] = json!(factor);
        }
        return Ok(());
    }
    if let Some(divisors) = divisors(of, DIVISORS)? {
        config["rope_scaling"] = llama3(theta, turned, &divisors).unwrap_or_else(|| {
            json!({ "rope_type": "longrope", "long_factor": divisors, "short_factor": divisors, "attention_factor": 1.0 })
        });
        return Ok(());
    }
    let kind = of.metadata().optional_text(&of.key("rope.scaling.type"))?.unwrap_or("none");
    let factor = || {
        let name = of.key("rope.scaling.factor");
        Ok::<_, crate::Error>(of.metadata().required(&name, of.metadata().optional_number(&name)?)?)
    };
    match kind {
        "none" => {}
        "linear" => config["rope_scaling"] = json!({ "rope_type": "linear", "factor": factor()? }),
        "yarn" => {
            let factor = factor()?;
            let mut scaling = json!({ "rope_type": "yarn", "factor": factor });
            if let Some(original) = original {
                scaling["original_max_position_embeddings"] = json!(original);
            }
            if let Some(more) = of.optional_number("rope.scaling.attn_factor")?.filter(|more| *more != 1.0) {
                scaling["attention_factor"] = json!(more * (1.0 + 0.1 * factor.ln()));
            }
            for (name, called) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                if let Some(beta) = of.optional_number(&format!("rope.scaling.{name}"))? {
                    scaling[called] = json!(beta);
                }
            }
            config["rope_scaling"] = scaling;
        }
        other => {
            let other = align_text::shortened(other, 40);
            return Err(of.invalid(format!(
                "`{}`: `{other}` is not supported; supported: none, linear, yarn",
                of.key("rope.scaling.type")
            )));
        }
    }
    Ok(())
}

/// The numbers of a tensor of divisors, if it is there.
fn divisors(of: &Of<'_>, name: &str) -> Result<Option<Vec<f32>>> {
    let Some(info) = of.file.tensors().get(name) else { return Ok(None) };
    let numbers = align_gguf::numbers(info.kind, &of.file.bytes(info)?);
    let numbers =
        numbers.ok_or_else(|| of.invalid(format!("tensor `{name}`: expected numbers, found blocks")))?;
    Ok(Some(numbers))
}

/// The scaling of Llama 3 that has these divisors.
fn llama3(theta: f64, dim: usize, divisors: &[f32]) -> Option<Value> {
    let factor = divisors.iter().copied().fold(1f32, f32::max);
    let scaling = RopeScaling::Llama3 {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 8192.0,
    };
    let expected = divisors_of(&Rotary { theta: theta as f32, dim, scaling });
    let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs();
    (expected.len() == divisors.len() && expected.iter().zip(divisors).all(same)).then(|| {
        json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        })
    })
}

/// By what a rotation's frequencies are divided.
pub(super) fn divisors_of(rotary: &Rotary) -> Vec<f32> {
    let plain = Rotary { scaling: RopeScaling::None, ..rotary.clone() };
    let pairs = plain.inverse_frequencies(0).into_iter().zip(rotary.inverse_frequencies(0));
    pairs.map(|(plain, scaled)| plain / scaled).collect()
}
