//! The state of a parameter: flat buffers with names, which one code saves and reads back.

use candle_core::{DType, Device, Result, Tensor};

/// A buffer that a rule asks for.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) shape: Vec<usize>,
    /// F32 or U8.
    pub(super) dtype: DType,
}

/// A buffer of the state.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub(super) spec: Spec,
    pub(super) values: Values,
}

/// Plain vectors on the CPU, where steps are made in place; tensors elsewhere.
#[derive(Clone, Debug)]
pub(super) enum Values {
    F32(Vec<f32>),
    U8(Vec<u8>),
    Device(Tensor),
}

impl Spec {
    pub(super) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size_in_bytes()
    }
}

impl Buffer {
    pub(super) fn zeros(spec: Spec, device: &Device) -> Result<Self> {
        let elements = spec.shape.iter().product();
        let values = match spec.dtype {
            _ if !device.is_cpu() => Values::Device(Tensor::zeros(&*spec.shape, spec.dtype, device)?),
            DType::U8 => Values::U8(vec![0; elements]),
            _ => Values::F32(vec![0.0; elements]),
        };
        Ok(Self { spec, values })
    }

    /// Takes over what was read from a file, of the same size.
    pub(super) fn set_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let floats = || bytes.chunks_exact(4).map(|it| f32::from_le_bytes([it[0], it[1], it[2], it[3]]));
        match &mut self.values {
            Values::F32(values) => values.iter_mut().zip(floats()).for_each(|(value, it)| *value = it),
            Values::U8(values) => values.copy_from_slice(bytes),
            Values::Device(values) if self.spec.dtype == DType::U8 => {
                *values = Tensor::from_slice(bytes, &*self.spec.shape, values.device())?;
            }
            Values::Device(values) => {
                *values = Tensor::from_iter(floats(), values.device())?.reshape(&*self.spec.shape)?
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.spec.bytes()
    }
}

/// The f32 values of the buffers on the CPU, of which the rule asked for `N`.
pub(super) fn f32s<const N: usize>(buffers: &mut [Buffer]) -> [&mut [f32]; N] {
    let mut values = buffers.iter_mut().map(|buffer| match &mut buffer.values {
        Values::F32(values) => values.as_mut_slice(),
        _ => unreachable!("the rule asked for f32"),
    });
    std::array::from_fn(|_| values.next().expect("the rule asked for as many"))
}

/// Codes and largest values of two moments.
pub(super) fn quantised(buffers: &mut [Buffer]) -> [(&mut [u8], &mut [f32]); 2] {
    let [first, first_absmax, second, second_absmax] = buffers else {
        unreachable!("the rule asked for four buffers")
    };
    [(first, first_absmax), (second, second_absmax)].map(|(codes, absmax)| {
        match (&mut codes.values, &mut absmax.values) {
            (Values::U8(codes), Values::F32(absmax)) => (codes.as_mut_slice(), absmax.as_mut_slice()),
            _ => unreachable!("the rule asked for codes and f32"),
        }
    })
}

/// The tensors of the buffers on another device, of which the rule asked for `N`.
pub(super) fn tensors<const N: usize>(buffers: &mut [Buffer]) -> [&mut Tensor; N] {
    let mut values = buffers.iter_mut().map(|buffer| match &mut buffer.values {
        Values::Device(tensor) => tensor,
        _ => unreachable!("buffers are tensors where steps are composed"),
    });
    std::array::from_fn(|_| values.next().expect("the rule asked for as many"))
}
