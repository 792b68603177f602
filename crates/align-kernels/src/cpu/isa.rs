//! Which instructions kernels use: those that the CPU has, unless a variable of the environment holds them back.

use std::sync::OnceLock;

/// A set of instructions, each with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Those that every CPU of the architecture has.
    Baseline,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 (F and VL).
    Avx512,
    /// AVX-512 with dot products of bf16 (BF16 and BW).
    Avx512Bf16,
}

impl Isa {
    /// The variable that names the most that may be used: `baseline`, `avx2`, `avx512` or `avx512_bf16`. For comparisons.
    pub const VARIABLE: &str = "ALIGN_MAX_ISA";

    const ALL: [Self; 4] = [Self::Baseline, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// What kernels use in this process.
    pub fn in_use() -> Self {
        static IN_USE: OnceLock<Isa> = OnceLock::new();
        *IN_USE.get_or_init(|| Self::of_cpu().min(Self::most().unwrap_or(Self::Avx512Bf16)))
    }

    /// The most that the environment allows.
    ///
    /// # Errors
    /// If it names nothing that there is; [`Isa::in_use`] holds nothing back then.
    pub fn most() -> Result<Self, String> {
        let Some(name) = std::env::var_os(Self::VARIABLE).filter(|name| !name.is_empty()) else {
            return Ok(Self::Avx512Bf16);
        };
        let name = name.to_string_lossy();
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|isa| isa.name() == name);
        found.ok_or_else(|| format!("{}={name}: expected one of {names}", Self::VARIABLE))
    }

    /// What the variable calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512_bf16",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn of_cpu() -> Self {
        if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            return Self::Baseline;
        }
        if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")) {
            return Self::Avx2;
        }
        if !(is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw")) {
            return Self::Avx512;
        }
        Self::Avx512Bf16
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of_cpu() -> Self {
        Self::Baseline
    }
}

#[cfg(test)]
mod tests {
    use super::Isa;

    #[test]
    fn a_set_has_those_before_it() {
        assert!(Isa::ALL.is_sorted());
        assert_eq!(Isa::in_use(), Isa::of_cpu().min(Isa::most().unwrap()));
    }
}
