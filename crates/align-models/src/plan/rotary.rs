//! Rotary frequencies, and how they are stretched for long contexts.

/// A rotary embedding: how far a position turns each pair of a head's elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// θ, the base.
    pub theta: f32,
    /// Elements of a head that are turned.
    pub dim: usize,
    /// The stretching of the frequencies.
    pub scaling: RopeScaling,
}

/// Rotary scalings of Hugging Face's `rope_scaling` / `rope_parameters`.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// `default`.
    None,
    /// `linear`: all frequencies divided by the factor.
    Linear {
        /// The factor by which the context becomes longer.
        factor: f32,
    },
    /// `dynamic`: a larger base for sequences that are longer than the pre-training's (NTK).
    Dynamic {
        /// The factor by which the context may become longer.
        factor: f32,
        /// Context length of the pre-training.
        original_max_positions: usize,
    },
    /// `llama3`: low frequencies divided, high ones kept, a ramp between (Llama 3.1).
    Llama3 {
        /// The factor by which the context becomes longer.
        factor: f32,
        /// Wavelengths above `original_max_positions / low_freq_factor` are scaled.
        low_freq_factor: f32,
        /// Wavelengths below `original_max_positions / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// Context length of the pre-training.
        original_max_positions: f32,
    },
    /// `yarn` (Peng et al. 2023, arXiv:2309.00071): a ramp over the dimensions, and larger products.
    Yarn {
        /// The factor by which the context becomes longer.
        factor: f32,
        /// First and last dimension of the ramp.
        ramp: [f32; 2],
        /// The factor of cosines and sines.
        attention_scaling: f32,
    },
    /// `longrope` (Ding et al. 2024, arXiv:2402.13753): a divisor for each frequency, other ones for long sequences.
    LongRope {
        /// Divisors for sequences of at most `original_max_positions`.
        short: Vec<f32>,
        /// Divisors for longer ones.
        long: Vec<f32>,
        /// Context length of the pre-training.
        original_max_positions: usize,
        /// The factor of cosines and sines.
        attention_scaling: f32,
    },
}

impl Rotary {
    /// True if the frequencies depend on how long a sequence is.
    pub fn depends_on_length(&self) -> bool {
        matches!(self.scaling, RopeScaling::Dynamic { .. } | RopeScaling::LongRope { .. })
    }

    /// True if a sequence that grows from `from` tokens to `to` is turned otherwise at the end than on the way:
    /// then what is sampled token by token is not what the same tokens are given as a whole.
    pub fn changes_between(&self, from: usize, to: usize) -> bool {
        match self.scaling {
            RopeScaling::Dynamic { original_max_positions, .. } => to > original_max_positions,
            RopeScaling::LongRope { original_max_positions, .. } => {
                (from..to).contains(&original_max_positions)
            }
            _ => false,
        }
    }

    /// The factor of cosines and sines.
    pub fn attention_scaling(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_scaling, .. } | RopeScaling::LongRope { attention_scaling, .. } => {
                attention_scaling
            }
            _ => 1.0,
        }
    }

    /// The angle per position, `[dim / 2]`, for sequences of `length` tokens, in f32 as transformers computes it.
    pub fn inverse_frequencies(&self, length: usize) -> Vec<f32> {
        match &self.scaling {
            RopeScaling::None => self.plain(self.theta),
            RopeScaling::Linear { factor } => {
                self.plain(self.theta).into_iter().map(|f| f / factor).collect()
            }
            RopeScaling::Dynamic { factor, original_max_positions } => {
                let original = *original_max_positions as f64;
                let stretch = f64::from(*factor) * (length as f64).max(original) / original
                    - (f64::from(*factor) - 1.0);
                let power = self.dim as f64 / (self.dim as f64 - 2.0);
                self.plain((f64::from(self.theta) * stretch.powf(power)) as f32)
            }
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
                let stretched = |frequency: f32| {
                    let wavelength = 2.0 * std::f32::consts::PI / frequency;
                    let turns = original_max_positions / wavelength;
                    if turns < *low_freq_factor {
                        frequency / factor
                    } else if turns > *high_freq_factor {
                        frequency
                    } else {
                        let smooth = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        (1.0 - smooth) * frequency / factor + smooth * frequency
                    }
                };
                self.plain(self.theta).into_iter().map(stretched).collect()
            }
            RopeScaling::Yarn { factor, ramp: [low, high], .. } => {
                let mixed = |(i, power): (usize, f32)| {
                    let kept = 1.0 - ((i as f32 - low) / (high - low)).clamp(0.0, 1.0);
                    1.0 / (factor * power) * (1.0 - kept) + 1.0 / power * kept
                };
                self.powers(self.theta).enumerate().map(mixed).collect()
            }
            RopeScaling::LongRope { short, long, original_max_positions, .. } => {
                let divisors = if length > *original_max_positions { long } else { short };
                let divided = self.powers(self.theta).zip(divisors).map(|(power, by)| 1.0 / (by * power));
                divided.collect()
            }
        }
    }

    fn powers(&self, theta: f32) -> impl Iterator<Item = f32> + use<> {
        let dim = self.dim as f32;
        (0..self.dim).step_by(2).map(move |i| theta.powf(i as f32 / dim))
    }

    fn plain(&self, theta: f32) -> Vec<f32> {
        self.powers(theta).map(|power| 1.0 / power).collect()
    }
}
