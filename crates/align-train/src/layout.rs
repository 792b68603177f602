//! How parameters lie in the files of a checkpoint.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{Result, Tensor};

/// A parameter in a tensor: its name, and its place in each dimension.
pub type Part = (String, Vec<Range<usize>>);

/// The layout of a model's files: tensors that are not called as the parameter they hold, or hold several.
#[derive(Clone, Debug, Default)]
pub struct Layout(BTreeMap<String, Vec<Part>>);

impl Layout {
    /// Tensors by name with the parameters that they hold, which cover them.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<Part>)>) -> Self {
        Self(tensors.into_iter().collect())
    }

    /// The parameters in a tensor. One that has another shape is left whole, for whoever compares the shapes.
    pub(crate) fn parts(&self, name: String, tensor: Tensor) -> Result<Vec<(String, Tensor)>> {
        let Some(parts) = self.0.get(&name) else { return Ok(vec![(name, tensor)]) };
        let end = |dim: usize| parts.iter().filter_map(|(_, place)| Some(place.get(dim)?.end)).max();
        let dims = tensor.dims().iter().enumerate();
        let fits = parts.iter().all(|(_, place)| place.len() == tensor.rank())
            && dims.into_iter().all(|(dim, size)| end(dim) == Some(*size));
        if let (Some((first, _)), true) = (parts.first(), parts.len() == 1 || !fits) {
            return Ok(vec![(first.clone(), tensor)]);
        }
        let part = |(name, place): &Part| {
            let narrowed = place
                .iter()
                .enumerate()
                .try_fold(tensor.clone(), |part, (dim, range)| part.narrow(dim, range.start, range.len()));
            Ok((name.clone(), narrowed?.force_contiguous()?))
        };
        parts.iter().map(part).collect()
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
        let part = |name: &str, rows: Range<usize>, columns| (name.to_owned(), vec![rows, columns]);
        let layout = Layout::new([
            ("qk".into(), vec![part("q", 0..2, 0..2), part("k", 2..3, 0..2)]),
            ("base.a".into(), vec![part("a", 0..1, 0..2)]),
            ("beside".into(), vec![part("left", 0..2, 0..1), part("right", 0..2, 1..2)]),
        ]);
        let parts = |name: &str, rows| {
            let parts = layout.parts(name.to_owned(), tensor(rows)).unwrap();
            parts.into_iter().map(|(name, part)| (name, part.to_vec2::<f32>().unwrap())).collect::<Vec<_>>()
        };
        let rows =
            |rows: Range<usize>| rows.map(|i| vec![2.0 * i as f32, 2.0 * i as f32 + 1.0]).collect::<Vec<_>>();
        assert_eq!(parts("qk", 3), [("q".to_owned(), rows(0..2)), ("k".to_owned(), rows(2..3))]);
        assert_eq!(parts("base.a", 1), [("a".to_owned(), rows(0..1))]);
        let [left, right] = [0.0, 1.0].map(|first| vec![vec![first], vec![first + 2.0]]);
        assert_eq!(parts("beside", 2), [("left".to_owned(), left), ("right".to_owned(), right)]);
        assert_eq!(parts("other", 2), [("other".to_owned(), rows(0..2))]);
        for other in [1, 4] {
            assert_eq!(
                parts("qk", other),
                [("q".to_owned(), rows(0..other))],
                "its shape is for others to refuse"
            );
        }
    }
}
