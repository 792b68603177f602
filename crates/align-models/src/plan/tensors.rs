//! The one table of a model's tensors: what is stored under which name, and which parameters it holds.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::{DecoderConfig, LinearPlan, NormPlan};

/// A tensor on disk: one parameter, or several whose rows follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// The parameters that the tensor holds, row by row.
    pub params: Vec<StoredParam>,
    /// How many of them lie side by side.
    pub columns: usize,
    /// Whether it is the weight of a linear layer, which may lie there in blocks of few bits.
    pub is_linear: bool,
}

/// A parameter of the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredParam {
    /// Its name, which is that of the tensor where it is alone there.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The parameter's start in a model that is trained from scratch.
    pub init: Init,
}

/// The start of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Normal, with the model's `initializer_range`.
    Normal,
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
}

impl StoredTensor {
    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        let mut shape = Vec::new();
        for (_, place) in self.places() {
            shape.resize(place.len(), 0);
            shape.iter_mut().zip(place).for_each(|(size, range)| *size = range.end.max(*size));
        }
        shape
    }

    /// Where in the tensor its parameters are, in each dimension.
    pub fn places(&self) -> Vec<(&str, Vec<Range<usize>>)> {
        let (mut row, mut places) = (0, Vec::new());
        for beside in self.params.chunks(self.columns) {
            let mut column = 0;
            for StoredParam { name, shape, .. } in beside {
                let mut place: Vec<_> = shape.iter().map(|size| 0..*size).collect();
                let firsts = [row, if self.columns > 1 { column } else { 0 }];
                place.iter_mut().zip(firsts).for_each(|(range, first)| *range = first..first + range.end);
                column += shape.get(1).unwrap_or(&0);
                places.push((name.as_str(), place));
            }
            row += beside[0].shape[0];
        }
        places
    }

    /// The tensor of the parameters that are called so.
    pub(crate) fn joined<'a, E: From<candle_core::Error>>(
        &'a self,
        value: impl Fn(&'a str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Tensor, E> {
        let beside = |params: &'a [StoredParam]| {
            let parts =
                params.iter().map(|param| value(&param.name)).collect::<std::result::Result<Vec<_>, E>>()?;
            Ok::<_, E>(if parts.len() > 1 { Tensor::cat(&parts, 1)? } else { parts[0].clone() })
        };
        let rows =
            self.params.chunks(self.columns).map(beside).collect::<std::result::Result<Vec<_>, E>>()?;
        Ok(if rows.len() > 1 { Tensor::cat(&rows, 0)? } else { rows[0].clone() })
    }

    /// The parameters that the tensor holds.
    pub(crate) fn split(&self, tensor: &Tensor) -> Result<Vec<(String, Tensor)>> {
        if let [only] = self.params.as_slice() {
            return Ok(vec![(only.name.clone(), tensor.clone())]);
        }
        let part = |(name, place): (&str, Vec<Range<usize>>)| {
            let narrowed = place
                .iter()
                .enumerate()
                .try_fold(tensor.clone(), |part, (dim, range)| part.narrow(dim, range.start, range.len()));
            Ok((name.to_owned(), narrowed?.force_contiguous()?))
        };
        self.places().into_iter().map(part).collect()
    }

    /// A parameter alone in its tensor.
    pub(crate) fn alone(name: String, shape: &[usize], init: Init) -> Self {
        Self {
            params: vec![StoredParam { name: name.clone(), shape: shape.to_vec(), init }],
            name,
            columns: 1,
            is_linear: false,
        }
    }
}

impl DecoderConfig {
    /// All tensors of a language model, in the order of the layers.
    pub fn tensors(&self) -> Vec<StoredTensor> {
        let mut tensors = self.backbone_tensors();
        if !self.tied_embeddings {
            let shape = [self.vocab, self.hidden];
            tensors.push(StoredTensor::alone(weight(&self.head.name), &shape, Init::Normal));
        }
        tensors
    }

    /// The tensors of [`DecoderConfig::tensors`] that are not the head's.
    pub fn backbone_tensors(&self) -> Vec<StoredTensor> {
        let mut table = Table(Vec::new());
        table.push(&self.embedding, None, ".weight", &[self.vocab, self.hidden], Init::Normal);
        for layer in &self.layers {
            let (attention, mlp) = (&layer.attention, &layer.mlp);
            layer.linears().for_each(|linear| table.linear(linear));
            let norms =
                [&attention.norm, &attention.post_norm, &mlp.norm, &mlp.post_norm].into_iter().flatten();
            norms.chain(attention.head_norms.iter().flatten()).for_each(|norm| table.norm(norm));
        }
        table.norm(&self.norm);
        table.0
    }

    /// Names and shapes of all parameters of a language model.
    pub fn weight_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let params = self.tensors().into_iter().flat_map(|tensor| tensor.params);
        params.map(|param| (param.name, param.shape)).collect()
    }
}

pub(crate) fn weight(module: &str) -> String {
    format!("{module}.weight")
}

pub(crate) fn bias(module: &str) -> String {
    format!("{module}.bias")
}

struct Table(Vec<StoredTensor>);

impl Table {
    fn push(&mut self, module: &str, fused_in: Option<&str>, what: &str, shape: &[usize], init: Init) {
        let name = format!("{}{what}", fused_in.unwrap_or(module));
        let param = StoredParam { name: format!("{module}{what}"), shape: shape.to_vec(), init };
        match self.0.iter_mut().rev().take(MOST_FUSED).find(|tensor| tensor.name == name) {
            Some(tensor) => tensor.params.push(param),
            None => self.0.push(StoredTensor { name, params: vec![param], columns: 1, is_linear: false }),
        }
    }

    fn linear(&mut self, linear: &LinearPlan) {
        let fused_in = linear.fused_in.as_deref();
        self.push(&linear.name, fused_in, ".weight", &[linear.outputs, linear.inputs], Init::Normal);
        let name = format!("{}.weight", linear.module());
        let own = self.0.iter_mut().rev().take(MOST_FUSED).find(|tensor| tensor.name == name);
        own.into_iter().for_each(|tensor| tensor.is_linear = true);
        if linear.bias {
            self.push(&linear.name, fused_in, ".bias", &[linear.outputs], Init::Zeros);
        }
    }

    fn norm(&mut self, norm: &NormPlan) {
        let init = if norm.around_zero { Init::Zeros } else { Init::Ones };
        self.push(&norm.name, None, ".weight", &[norm.width], init);
    }
}

/// Tensors between the first and the last part of one that is fused: its weight and bias.
const MOST_FUSED: usize = 2;
