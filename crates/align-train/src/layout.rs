//! How parameters lie in the files of a checkpoint.

use std::collections::BTreeMap;

use align_kernels::Params;
use candle_core::{Result, Tensor};

/// The layout of a model's files: tensors that are not called as the parameter they hold, or hold the rows of several.
#[derive(Clone, Debug, Default)]
pub struct Layout(BTreeMap<String, Vec<String>>);

impl Layout {
    /// Tensors by name with the parameters that they hold, whose rows follow one another.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(tensors.into_iter().collect())
    }

    /// The parameters in a tensor. One that does not have their rows is left whole, for whoever compares the shapes.
    pub(crate) fn parts(
        &self,
        name: String,
        tensor: Tensor,
        params: &Params,
    ) -> Result<Vec<(String, Tensor)>> {
        let parts = match self.0.get(&name).map(Vec::as_slice) {
            None => return Ok(vec![(name, tensor)]),
            Some([only]) => return Ok(vec![(only.clone(), tensor)]),
            Some(parts) => parts,
        };
        let rows = |part: &String| params.get(part).and_then(|param| param.tensor().dims().first().copied());
        let rows: Vec<usize> = parts.iter().filter_map(rows).collect();
        if rows.len() < parts.len() || tensor.dims().first() != Some(&rows.iter().sum()) {
            return Ok(vec![(parts[0].clone(), tensor)]);
        }
        let mut first = 0;
        let part = |(name, rows): (&String, usize)| {
            let part = tensor.narrow(0, first, rows)?.force_contiguous()?;
            first += rows;
            Ok((name.clone(), part))
        };
        parts.iter().zip(rows).map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn tensors_are_cut_into_the_parameters_that_they_hold() {
        let tensor = |rows: usize| {
            Tensor::arange(0f32, (rows * 2) as f32, &Device::Cpu).unwrap().reshape((rows, 2)).unwrap()
        };
        let params = [("q", 2), ("k", 1), ("a", 1)].map(|(name, rows)| (name.to_owned(), tensor(rows)));
        let params = Params::frozen(params.iter().map(|(name, tensor)| (name, tensor)));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let layout = Layout::new([("qk".into(), names(&["q", "k"])), ("base.a".into(), names(&["a"]))]);
        let parts = |name: &str, rows| {
            let parts = layout.parts(name.to_owned(), tensor(rows), &params).unwrap();
            parts.into_iter().map(|(name, part)| (name, part.to_vec2::<f32>().unwrap())).collect::<Vec<_>>()
        };
        let rows = |rows: std::ops::Range<usize>| {
            rows.map(|i| vec![2.0 * i as f32, 2.0 * i as f32 + 1.0]).collect::<Vec<_>>()
        };
        assert_eq!(parts("qk", 3), [("q".to_owned(), rows(0..2)), ("k".to_owned(), rows(2..3))]);
        assert_eq!(parts("base.a", 1), [("a".to_owned(), rows(0..1))]);
        assert_eq!(parts("other", 2), [("other".to_owned(), rows(0..2))]);
        assert_eq!(parts("qk", 4), [("q".to_owned(), rows(0..4))], "its shape is for others to refuse");
    }
}
