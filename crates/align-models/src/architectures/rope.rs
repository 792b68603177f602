//! Rotary parameters of both spellings.

use std::f64::consts::PI;
use std::ops::RangeInclusive;

use super::fields::{Fields, most};
use crate::{Result, RopeScaling, Rotary};

/// Bases of the rotary embedding, and factors of its scalings: as wide as any model has them, and so that no frequency is
/// infinite or lost in f32.
const THETAS: RangeInclusive<f64> = 1.0..=1e15;
const FACTORS: RangeInclusive<f64> = 1e-6..=1e9;
const SHARES: RangeInclusive<f64> = 1e-6..=1.0;

/// What a family's rotations have where the config says nothing.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub(super) theta: f64,
    pub(super) head_dim: usize,
    pub(super) max_positions: usize,
    /// Parameters among those of the rotation that the family's own file reads.
    pub(super) others: &'static [&'static str],
    /// The pre-training's context length, where the config's top level says nothing and the family has one of its own.
    pub(super) original_max_positions: Option<usize>,
    /// The types that the family knows and what they mean there; all as they are called, if the list is empty.
    pub(super) kinds: &'static [(&'static str, &'static str)],
}

/// The one rotation of a model.
pub(super) fn rotary(fields: &Fields<'_>, defaults: Defaults) -> Result<Rotary> {
    let theta = fields.number_in("rope_theta", defaults.theta, THETAS)?;
    let share = fields.optional_number("partial_rotary_factor", &SHARES)?;
    let inner = written(fields)?;
    of(fields, inner.as_ref(), Defaults { theta, ..defaults }, share)
}

impl Rotary {
    /// Refuses to turn a part of a head, which the architecture does not do.
    pub(super) fn of_whole_heads(self, fields: &Fields<'_>, head_dim: usize) -> Result<Self> {
        if self.dim == head_dim {
            return Ok(self);
        }
        fields.invalid("`partial_rotary_factor`: this architecture turns whole heads; expected 1 or nothing")
    }
}

/// The rotations of layers that see everything and of those with a window; `local` is the base of the latter where nothing
/// says otherwise.
pub(super) fn per_kind(fields: &Fields<'_>, defaults: Defaults, local: f64) -> Result<[Rotary; 2]> {
    let theta = fields.number_in("rope_theta", defaults.theta, THETAS)?;
    let nested = fields.object("rope_parameters")?;
    let inner = |kind: &str| nested.as_ref().map_or(Ok(None), |nested| nested.object(kind));
    let (full, sliding) = (inner("full_attention")?, inner("sliding_attention")?);
    if nested.is_some() && full.is_none() && sliding.is_none() {
        return fields.fail("rope_parameters", "`full_attention` and `sliding_attention`");
    }
    let full = fields.object("rope_scaling")?.or(full);
    Ok([
        of(fields, full.as_ref(), Defaults { theta, ..defaults }, None)?,
        of(fields, sliding.as_ref(), Defaults { theta: local, ..defaults }, None)?,
    ])
}

/// `rope_scaling`, which wins in transformers where both are there, or `rope_parameters`.
fn written<'a>(fields: &Fields<'a>) -> Result<Option<Fields<'a>>> {
    let old = fields.object("rope_scaling")?;
    let new = fields.object("rope_parameters")?;
    Ok(old.or(new))
}

fn of(
    fields: &Fields<'_>,
    inner: Option<&Fields<'_>>,
    defaults: Defaults,
    share: Option<f64>,
) -> Result<Rotary> {
    let Some(inner) = inner else {
        let dim = turned(fields, defaults.head_dim, share.unwrap_or(1.0))?;
        return Ok(Rotary { theta: defaults.theta as f32, dim, scaling: RopeScaling::None });
    };
    let theta = inner.number_in("rope_theta", defaults.theta, THETAS)?;
    let share = inner.optional_number("partial_rotary_factor", &SHARES)?.or(share).unwrap_or(1.0);
    let dim = turned(inner, defaults.head_dim, share)?;
    let written = inner.text_or("rope_type", inner.text_or("type", "default")?)?;
    let kind = match defaults.kinds.iter().find(|(name, _)| *name == written) {
        None if !defaults.kinds.is_empty() => return inner.fail("rope_type", "default or longrope"),
        None => written,
        Some((_, meant)) => meant,
    };
    let positions = || {
        let inside = inner.optional_size("original_max_position_embeddings", most::POSITIONS)?;
        let outside = fields.optional_size("original_max_position_embeddings", most::POSITIONS)?;
        let known = outside.or(defaults.original_max_positions).or(inside);
        Ok::<_, crate::Error>(known.unwrap_or(defaults.max_positions))
    };
    let factor = |name: &str| Ok::<_, crate::Error>(inner.number(name, &FACTORS)? as f32);
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: factor("factor")? },
        "dynamic" if dim > 2 => {
            RopeScaling::Dynamic { factor: factor("factor")?, original_max_positions: defaults.max_positions }
        }
        "llama3" => {
            let (low_freq_factor, high_freq_factor) =
                (factor("low_freq_factor")?, factor("high_freq_factor")?);
            if high_freq_factor <= low_freq_factor {
                return inner
                    .fail("high_freq_factor", &format!("more than low_freq_factor ({low_freq_factor})"));
            }
            let (factor, original) = (factor("factor")?, positions()? as f32);
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions: original,
            }
        }
        "yarn" => yarn(fields, inner, (theta, dim), positions()?)?,
        "longrope" => longrope(inner, dim, positions()?, defaults.max_positions)?,
        other => {
            let other = align_text::shortened(other, crate::error::SHOWN);
            return inner.invalid(&format!(
                "rope type `{other}` is not supported; supported: default, linear, dynamic, llama3, yarn, longrope"
            ));
        }
    };
    // Of the scaling, everything that is written must have been understood.
    for harmless in
        ["factor", "original_max_position_embeddings", "max_position_embeddings", "type", "rope_type"]
    {
        inner.get(harmless);
    }
    for other in defaults.others {
        inner.get(other);
    }
    match inner.unread().next() {
        Some((name, _)) => inner.fail(name, &format!("no such parameter of a rope of type {kind}")),
        None => Ok(Rotary { theta: theta as f32, dim, scaling }),
    }
}

/// Elements of a head that are turned.
fn turned(fields: &Fields<'_>, head_dim: usize, share: f64) -> Result<usize> {
    match (head_dim as f64 * share) as usize / 2 * 2 {
        0 => fields.fail("partial_rotary_factor", "a share of a head that is two elements or more"),
        dim => Ok(dim),
    }
}

/// As transformers' `_compute_yarn_parameters`.
fn yarn(
    fields: &Fields<'_>,
    inner: &Fields<'_>,
    (theta, dim): (f64, usize),
    original: usize,
) -> Result<RopeScaling> {
    let factor = inner.number("factor", &FACTORS)?;
    let larger = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
    let given = inner.optional_number("attention_factor", &FACTORS)?;
    let scales = [
        inner.optional_number("mscale", &(0.0..=1e6))?,
        inner.optional_number("mscale_all_dim", &(0.0..=1e6))?,
    ];
    let attention = given.unwrap_or_else(|| match scales {
        [Some(scale), Some(all)] if scale != 0.0 && all != 0.0 => larger(scale) / larger(all),
        _ => larger(1.0),
    });
    let positive = |name: &str, default: f64| {
        Ok::<_, crate::Error>(
            Some(inner.number_in(name, default, 0.0..=1e9)?).filter(|x| *x != 0.0).unwrap_or(default),
        )
    };
    let (fast, slow) = (positive("beta_fast", 32.0)?, positive("beta_slow", 1.0)?);
    if theta <= 1.0 {
        return fields.fail("rope_theta", "more than 1 for a rope of type yarn");
    }
    let dimension =
        |turns: f64| dim as f64 * (original as f64 / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let (mut low, mut high) = (dimension(fast), dimension(slow));
    if inner.flag_or("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(dim as f64 - 1.0));
    if low == high {
        high += 0.001;
    }
    Ok(RopeScaling::Yarn {
        factor: factor as f32,
        ramp: [low as f32, high as f32],
        attention_scaling: attention as f32,
    })
}

/// As transformers' `_compute_longrope_parameters`.
fn longrope(inner: &Fields<'_>, dim: usize, original: usize, max_positions: usize) -> Result<RopeScaling> {
    let factor = inner.optional_number("factor", &FACTORS)?.unwrap_or(max_positions as f64 / original as f64);
    let larger = || if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() };
    Ok(RopeScaling::LongRope {
        short: inner.numbers("short_factor", dim / 2, &FACTORS)?,
        long: inner.numbers("long_factor", dim / 2, &FACTORS)?,
        original_max_positions: original,
        attention_scaling: inner.optional_number("attention_factor", &FACTORS)?.unwrap_or_else(larger) as f32,
    })
}
