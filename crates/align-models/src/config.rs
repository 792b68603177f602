//! The shape of a decoder, checked.
//!
//! An architecture file maps `config.json` onto it; everything after that file only sees this.

/// Everything the decoder's mathematics depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; need not be `hidden / heads`.
    pub head_dim: usize,
    /// ε of the RMS norms.
    pub norm_epsilon: f64,
    /// θ of the rotary embedding.
    pub rope_theta: f32,
    /// How the rotary frequencies are stretched for long contexts.
    pub rope_scaling: RopeScaling,
    /// Longest position the model was made for.
    pub max_positions: usize,
    /// Keys a query may look back, its own included; none for all.
    pub sliding_window: Option<usize>,
    /// Biases on the query, key, value and output projections.
    pub attention_bias: bool,
    /// Biases on the feed-forward projections.
    pub mlp_bias: bool,
    /// Whether the head is the embedding.
    pub tied_embeddings: bool,
    /// Standard deviation of freshly initialised weights.
    pub initializer_range: f64,
}

/// Rotary scalings of Hugging Face's `rope_scaling` / `rope_parameters`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// `default`.
    None,
    /// `linear`: all frequencies divided by the factor.
    Linear {
        /// How much longer the context becomes.
        factor: f32,
    },
    /// `llama3`: low frequencies divided, high ones kept, a ramp between (Llama 3.1).
    Llama3 {
        /// How much longer the context becomes.
        factor: f32,
        /// Wavelengths above `original_max_positions / low_freq_factor` are scaled.
        low_freq_factor: f32,
        /// Wavelengths below `original_max_positions / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// Context length of the pre-training.
        original_max_positions: f32,
    },
}

impl DecoderConfig {
    /// The rotary embedding's angle per position, `[head_dim / 2]`, in f32 as transformers computes it.
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        let dim = self.head_dim as f32;
        let plain = (0..self.head_dim).step_by(2).map(|i| 1.0 / self.rope_theta.powf(i as f32 / dim));
        plain.map(|frequency| self.rope_scaling.apply(frequency)).collect()
    }

    /// Names and shapes of all weights, in Hugging Face's naming, in order.
    pub fn weight_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, q, kv) = (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![self.vocab, hidden])];
        for layer in 0..self.layers {
            let prefix = format!("model.layers.{layer}");
            let projections = [
                ("self_attn.q_proj", q, hidden, self.attention_bias),
                ("self_attn.k_proj", kv, hidden, self.attention_bias),
                ("self_attn.v_proj", kv, hidden, self.attention_bias),
                ("self_attn.o_proj", hidden, q, self.attention_bias),
                ("mlp.gate_proj", self.intermediate, hidden, self.mlp_bias),
                ("mlp.up_proj", self.intermediate, hidden, self.mlp_bias),
                ("mlp.down_proj", hidden, self.intermediate, self.mlp_bias),
            ];
            for (name, outputs, inputs, bias) in projections {
                shapes.push((format!("{prefix}.{name}.weight"), vec![outputs, inputs]));
                if bias {
                    shapes.push((format!("{prefix}.{name}.bias"), vec![outputs]));
                }
            }
            shapes.push((format!("{prefix}.input_layernorm.weight"), vec![hidden]));
            shapes.push((format!("{prefix}.post_attention_layernorm.weight"), vec![hidden]));
        }
        shapes.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !self.tied_embeddings {
            shapes.push(("lm_head.weight".to_owned(), vec![self.vocab, hidden]));
        }
        shapes
    }
}

impl RopeScaling {
    fn apply(self, frequency: f32) -> f32 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
                let wavelength = 2.0 * std::f32::consts::PI / frequency;
                let turns = original_max_positions / wavelength;
                if turns < low_freq_factor {
                    frequency / factor
                } else if turns > high_freq_factor {
                    frequency
                } else {
                    let smooth = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}
