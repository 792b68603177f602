//! A layer of a decoder, as its plan says: attention and a gated feed-forward layer, each a branch that is added to the
//! rows.

use align_kernels::{Activation, Adapter, Linear, Looking, Params, Precision, RmsNorm, SoftCap, Tape, Value};
use candle_core::{Result, Tensor, bail};

use crate::adapter::{AdapterPlan, b, bias_of_b, magnitude, offset_b};
use crate::decoder::Pass;
use crate::plan::{AttentionPlan, LayerPlan, LinearPlan, MlpPlan, NormPlan, bias, weight};

/// Puts the keys and values of a stream to those of before, and returns all that its segments refer to.
pub(crate) type Extend<'a> = &'a mut dyn FnMut(&Value, &Value) -> Result<(Tensor, Tensor)>;

#[derive(Clone, Debug)]
pub(crate) struct Layer {
    attention: Attention,
    mlp: Mlp,
    residual_scale: f64,
}

#[derive(Clone, Debug)]
struct Attention {
    norm: Option<RmsNorm>,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    head_norms: Option<[RmsNorm; 2]>,
    head_dim: usize,
    rotary: Option<usize>,
    looking: Looking,
    post_norm: Option<RmsNorm>,
    precision: Precision,
}

#[derive(Clone, Debug)]
struct Mlp {
    norm: Option<RmsNorm>,
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
    post_norm: Option<RmsNorm>,
}

impl Layer {
    pub(crate) fn new(plan: &LayerPlan, params: &Params, precision: Precision) -> Result<Self> {
        Ok(Self {
            attention: Attention::new(&plan.attention, params, precision)?,
            mlp: Mlp::new(&plan.mlp, params, precision)?,
            residual_scale: plan.residual_scale,
        })
    }

    /// `[tokens, hidden]` → `[tokens, hidden]`; with `rows` only these rows, `[rows, hidden]`. Keys and values go through
    /// `extend`, if there is one.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape,
        x: Value,
        pass: &Pass,
        rows: Option<&Tensor>,
        extend: Option<Extend<'_>>,
    ) -> Result<Value> {
        let mixed = self.attention.mix(tape, &x, pass, extend)?;
        let (x, mixed) = match rows {
            None => (x, mixed),
            Some(rows) => (tape.rows(&x, rows)?, tape.rows(&mixed, rows)?),
        };
        let branch = tape.linear(&mixed, &self.attention.output)?;
        let x = self.add(tape, &x, branch, self.attention.post_norm.as_ref())?;
        let branch = self.mlp.forward(tape, &x)?;
        self.add(tape, &x, branch, self.mlp.post_norm.as_ref())
    }

    fn add(&self, tape: &mut Tape, x: &Value, branch: Value, norm: Option<&RmsNorm>) -> Result<Value> {
        let branch = norm.map_or(Ok(None), |norm| tape.rms_norm(&branch, norm).map(Some))?.unwrap_or(branch);
        let branch = tape.scale(branch, self.residual_scale)?;
        tape.add(x, branch)
    }
}

impl Attention {
    fn new(plan: &AttentionPlan, params: &Params, precision: Precision) -> Result<Self> {
        let head_norms = plan.head_norms.as_ref();
        let head_norms =
            head_norms.map(|[q, k]| Ok::<_, candle_core::Error>([norm(q, params)?, norm(k, params)?]));
        Ok(Self {
            norm: optional_norm(plan.norm.as_ref(), params)?,
            query: linear(&plan.query, params, precision)?,
            key: linear(&plan.key, params, precision)?,
            value: linear(&plan.value, params, precision)?,
            output: linear(&plan.output, params, precision)?,
            head_norms: head_norms.transpose()?,
            head_dim: plan.head_dim,
            rotary: plan.rotary,
            looking: Looking {
                scale: plan.scale,
                window: plan.window,
                softcap: plan.softcap.map(SoftCap::new),
            },
            post_norm: optional_norm(plan.post_norm.as_ref(), params)?,
            precision,
        })
    }

    /// The values that each token sees, mixed: `[tokens, heads · head_dim]`.
    fn mix(&self, tape: &mut Tape, x: &Value, pass: &Pass, extend: Option<Extend<'_>>) -> Result<Value> {
        let (tokens, dim) = (x.tensor().dim(0)?, self.head_dim);
        let layers = [&self.query, &self.key, &self.value];
        let [query, key, value] = match &self.norm {
            None => tape.linears(x, layers)?,
            Some(norm) => {
                let normalised = tape.rms_norm(x, norm)?;
                tape.linears(&normalised, layers)?
            }
        };
        let [query, key] = match &self.head_norms {
            None => [query, key],
            Some([q, k]) => [rows_of(tape, query, q)?, rows_of(tape, key, k)?],
        };
        let query = tape.reshape(query, (tokens, self.query.outputs() / dim, dim))?;
        let key = tape.reshape(key, (tokens, self.key.outputs() / dim, dim))?;
        let value = tape.reshape(value, (tokens, self.value.outputs() / dim, dim))?;
        let (query, key) = match self.rotary.map(|index| &pass.rotations[index]) {
            None => (query, key),
            Some(rotation) => (tape.rope(&query, rotation)?, tape.rope(&key, rotation)?),
        };
        let query = match &pass.query_scales {
            None => query,
            Some(scales) => tape.scale_rows(&query, scales)?,
        };
        // Here and nowhere else: what is trained and scored looks at the same keys and values as what is sampled from a cache.
        let (key, value) = (tape.rounded(key, self.precision)?, tape.rounded(value, self.precision)?);
        let (key, value) = match extend {
            None => (key, value),
            Some(_) if key.is_tracked() || value.is_tracked() => bail!("a cache has no gradient"),
            Some(extend) => {
                let (keys, values) = extend(&key, &value)?;
                (tape.constant(&keys), tape.constant(&values))
            }
        };
        let mixed = tape.attention([&query, &key, &value], &pass.segments, self.looking)?;
        tape.reshape(mixed, (tokens, self.query.outputs()))
    }
}

impl Mlp {
    fn new(plan: &MlpPlan, params: &Params, precision: Precision) -> Result<Self> {
        Ok(Self {
            norm: optional_norm(plan.norm.as_ref(), params)?,
            gate: linear(&plan.gate, params, precision)?,
            up: linear(&plan.up, params, precision)?,
            down: linear(&plan.down, params, precision)?,
            activation: plan.activation,
            post_norm: optional_norm(plan.post_norm.as_ref(), params)?,
        })
    }

    fn forward(&self, tape: &mut Tape, x: &Value) -> Result<Value> {
        let [gate, up] = match &self.norm {
            None => tape.linears(x, [&self.gate, &self.up])?,
            Some(norm) => {
                let normalised = tape.rms_norm(x, norm)?;
                tape.linears(&normalised, [&self.gate, &self.up])?
            }
        };
        let unit = tape.gated(self.activation, &gate, &up)?;
        tape.linear(&unit, &self.down)
    }
}

/// Queries or keys `[tokens, heads · head_dim]` in rows of the norm's width, normalised.
fn rows_of(tape: &mut Tape, x: Value, norm: &RmsNorm) -> Result<Value> {
    let shape = x.tensor().shape().clone();
    let rows = tape.reshape(x, (shape.elem_count() / norm.width().max(1), norm.width()))?;
    let rows = tape.rms_norm(&rows, norm)?;
    tape.reshape(rows, shape)
}

pub(crate) fn linear(plan: &LinearPlan, params: &Params, precision: Precision) -> Result<Linear> {
    let bias = plan.bias.then(|| params.require(&bias(&plan.name))).transpose()?;
    let weight = params.weight(&weight(&plan.name))?.with_precision(precision);
    let layer = Linear::of(weight, bias)?;
    match &plan.adapter {
        None => Ok(layer),
        Some(adapter) => {
            let mut found = adapter_of(plan, adapter, params)?;
            if adapter.magnitude {
                found = found.with_magnitude(params.require(&magnitude(&plan.name))?);
            }
            layer.with_adapter(&found)
        }
    }
}

/// The adapter of a linear layer, without magnitudes.
pub(crate) fn adapter_of(linear: &LinearPlan, plan: &AdapterPlan, params: &Params) -> Result<Adapter> {
    let mut adapter =
        Adapter::new(params.require(&plan.a())?, params.require(&b(&linear.name))?, plan.scale)?;
    if plan.bias {
        adapter = adapter.with_bias(params.require(&bias_of_b(&linear.name))?);
    }
    if plan.offset {
        let (a, b) = (params.require(&plan.offset_a())?, params.require(&offset_b(&linear.name))?);
        adapter = adapter.with_offset(a, b)?;
    }
    Ok(adapter.with_dropout(plan.dropout))
}

pub(crate) fn norm(plan: &NormPlan, params: &Params) -> Result<RmsNorm> {
    let weight = params.require(&weight(&plan.name))?;
    let norm = if plan.around_zero { RmsNorm::around_zero } else { RmsNorm::new };
    Ok(norm(weight, plan.epsilon))
}

fn optional_norm(plan: Option<&NormPlan>, params: &Params) -> Result<Option<RmsNorm>> {
    plan.map(|plan| norm(plan, params)).transpose()
}
