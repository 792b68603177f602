//! A layer of a decoder: attention and a gated feed-forward layer, each over normalised rows and added to the rows.

use align_kernels::{Linear, Looking, Param, Params, Tape, Value};
use candle_core::{Result, Tensor, bail};

use crate::DecoderConfig;
use crate::decoder::Pass;

#[derive(Clone, Debug)]
pub(crate) struct Layer {
    input_norm: Param,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    post_attention_norm: Param,
    gate: Linear,
    up: Linear,
    down: Linear,
    norm_epsilon: f64,
    head_dim: usize,
    looking: Looking,
}

/// Puts the keys and values of a stream to those of before, and returns all that its segments refer to.
type Extend<'a> = &'a mut dyn FnMut(&Value, &Value) -> Result<(Tensor, Tensor)>;

impl Layer {
    pub(crate) fn new(config: &DecoderConfig, params: &Params, index: usize) -> Result<Self> {
        let param = |name: &str| params.require(&format!("model.layers.{index}.{name}.weight")).cloned();
        let linear = |name: &str, with_bias: bool| -> Result<Linear> {
            let bias = || params.require(&format!("model.layers.{index}.{name}.bias"));
            Linear::new(&param(name)?, with_bias.then(bias).transpose()?)
        };
        Ok(Self {
            input_norm: param("input_layernorm")?,
            query: linear("self_attn.q_proj", config.attention_bias)?,
            key: linear("self_attn.k_proj", config.attention_bias)?,
            value: linear("self_attn.v_proj", config.attention_bias)?,
            output: linear("self_attn.o_proj", config.attention_bias)?,
            post_attention_norm: param("post_attention_layernorm")?,
            gate: linear("mlp.gate_proj", config.mlp_bias)?,
            up: linear("mlp.up_proj", config.mlp_bias)?,
            down: linear("mlp.down_proj", config.mlp_bias)?,
            norm_epsilon: config.norm_epsilon,
            head_dim: config.head_dim,
            looking: Looking { scale: 1.0 / (config.head_dim as f64).sqrt(), window: config.sliding_window },
        })
    }

    /// `[tokens, hidden]` → `[tokens, hidden]`; with `rows` only these rows, `[rows, hidden]`.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape,
        x: Value,
        pass: &Pass,
        rows: Option<&Tensor>,
    ) -> Result<Value> {
        let x = self.attention(tape, x, pass, rows, None)?;
        self.feed_forward(tape, x)
    }

    /// [`Layer::forward`] where keys and values go through `extend`.
    pub(crate) fn forward_with(
        &self,
        tape: &mut Tape,
        x: Value,
        pass: &Pass,
        rows: Option<&Tensor>,
        extend: Extend<'_>,
    ) -> Result<Value> {
        let x = self.attention(tape, x, pass, rows, Some(extend))?;
        self.feed_forward(tape, x)
    }

    fn attention(
        &self,
        tape: &mut Tape,
        x: Value,
        pass: &Pass,
        rows: Option<&Tensor>,
        extend: Option<Extend<'_>>,
    ) -> Result<Value> {
        let (tokens, dim) = (x.tensor().dim(0)?, self.head_dim);
        let normalised = tape.rms_norm(&x, &self.input_norm, self.norm_epsilon)?;
        let [query, key, value] = tape.linears(&normalised, [&self.query, &self.key, &self.value])?;
        let query = tape.reshape(query, (tokens, self.query.outputs() / dim, dim))?;
        let key = tape.reshape(key, (tokens, self.key.outputs() / dim, dim))?;
        let value = tape.reshape(value, (tokens, self.value.outputs() / dim, dim))?;
        let (query, key) = (tape.rope(&query, &pass.rotation)?, tape.rope(&key, &pass.rotation)?);
        let (key, value) = match extend {
            None => (key, value),
            Some(_) if key.is_tracked() || value.is_tracked() => bail!("a cache has no gradient"),
            Some(extend) => {
                let (keys, values) = extend(&key, &value)?;
                (tape.constant(&keys), tape.constant(&values))
            }
        };
        let mixed = tape.attention([&query, &key, &value], &pass.segments, self.looking)?;
        let mixed = tape.reshape(mixed, (tokens, self.query.outputs()))?;
        let (x, mixed) = match rows {
            None => (x, mixed),
            Some(rows) => (tape.rows(&x, rows)?, tape.rows(&mixed, rows)?),
        };
        let answer = tape.linear(&mixed, &self.output)?;
        tape.add(&x, answer)
    }

    fn feed_forward(&self, tape: &mut Tape, x: Value) -> Result<Value> {
        let normalised = tape.rms_norm(&x, &self.post_attention_norm, self.norm_epsilon)?;
        let [gate, up] = tape.linears(&normalised, [&self.gate, &self.up])?;
        let unit = tape.swiglu(&gate, &up)?;
        let down = tape.linear(&unit, &self.down)?;
        tape.add(&x, down)
    }
}
