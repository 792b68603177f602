//! The names of devices and precisions, and the way from a name to a candle device.
//!
//! A device that this build cannot reach is an error that says how to build one that can; only `auto`
//! falls back, and it says so.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use serde::{Serialize, Serializer};

/// A device by name: `auto`, `cpu`, `cuda`, `cuda:N`, `metal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA if compiled in and present, then Metal, then the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number; `cuda` is number 0.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

/// The reason why a device is not there.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The build has no support for the device.
    #[error("--device {choice}: this binary was built without it; build with `--features {feature}`")]
    NotBuilt {
        /// The device asked for.
        choice: DeviceChoice,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// The build supports it, the machine does not offer it.
    #[error("--device {choice}: no such device on this machine: {reason}")]
    NotThere {
        /// The device asked for.
        choice: DeviceChoice,
        /// The driver's words.
        reason: String,
    },
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If the build or the machine lacks it; `Auto` cannot fail.
    pub fn open(self) -> Result<Device, DeviceError> {
        let not_there = |error: candle_core::Error| DeviceError::NotThere {
            choice: self,
            reason: align_text::without_backtrace(&error.to_string()).to_owned(),
        };
        match self {
            Self::Auto => Ok(best()),
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !candle_core::utils::cuda_is_available() => {
                Err(DeviceError::NotBuilt { choice: self, feature: "cuda" })
            }
            Self::Cuda(ordinal) => Device::new_cuda(ordinal).map_err(not_there),
            Self::Metal if !candle_core::utils::metal_is_available() => {
                Err(DeviceError::NotBuilt { choice: self, feature: "metal" })
            }
            Self::Metal => Device::new_metal(0).map_err(not_there),
        }
    }
}

/// The best device that opens.
fn best() -> Device {
    for choice in [DeviceChoice::Cuda(0), DeviceChoice::Metal] {
        match choice.open() {
            Ok(device) => return device,
            Err(DeviceError::NotBuilt { .. }) => {}
            Err(error) => tracing::warn!("{error}; using the next best device"),
        }
    }
    Device::Cpu
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.split_once(':') {
            None if name == "auto" => Ok(Self::Auto),
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(0)),
            None if name == "metal" || name == "mps" => Ok(Self::Metal),
            Some(("cuda", ordinal)) => {
                ordinal.parse().map(Self::Cuda).map_err(|_| format!("`{ordinal}` is not a device number"))
            }
            _ => Err("expected auto, cpu, cuda, cuda:N or metal".into()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl Serialize for DeviceChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The precision that models are computed in. Weights, their gradients and optimizer state are float32 in any case, and so are
/// norms, attention, log-probs and losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit floating point.
    #[default]
    Float32,
    /// Products with weights take operands rounded to bfloat16 and add up in float32.
    Bfloat16,
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "float32" | "f32" | "fp32" => Ok(Self::Float32),
            "bfloat16" | "bf16" => Ok(Self::Bfloat16),
            "float16" | "f16" | "fp16" | "half" => Err(
                "float16 overflows in training without loss scaling; expected float32 or bfloat16 (files \
                     in half precision are converted on loading)"
                    .into(),
            ),
            _ => Err("expected float32 or bfloat16".into()),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
        })
    }
}
