//! The scales of blocks: numbers, or quantised once more.

use super::codes::dynamic_map;

/// Scales that one second scale holds for.
const SECOND: usize = 256;

/// The largest value of each block.
#[derive(Clone, Debug)]
pub enum Absmax {
    /// As numbers.
    Plain(Vec<f32>),
    /// Double quantisation (Dettmers et al. 2023, arXiv:2305.14314): 8 bits each.
    Double(DoubleQuantised),
}

/// Scales in 8 bits: `map[code] · second + offset`, the second scale of 256 of them.
#[derive(Clone, Debug)]
pub struct DoubleQuantised {
    /// A code for each scale.
    pub codes: Vec<u8>,
    /// What codes stand for.
    pub map: Box<[f32; 256]>,
    /// The second scales.
    pub second: Vec<f32>,
    /// Codes of a second scale.
    pub second_block: usize,
    /// What was taken off all scales first: their mean.
    pub offset: f32,
}

impl Absmax {
    /// The scale of a block.
    pub fn get(&self, block: usize) -> f32 {
        match self {
            Self::Plain(scales) => scales[block],
            Self::Double(it) => {
                it.map[usize::from(it.codes[block])] * it.second[block / it.second_block] + it.offset
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(scales) => scales.len(),
            Self::Double(it) => it.codes.len(),
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same scales in 8 bits each, as bitsandbytes quantises them on the CPU.
    #[must_use]
    pub fn doubled(self) -> Self {
        let Self::Plain(scales) = self else { return self };
        let offset = mean(&scales);
        let map = dynamic_map();
        let (mut codes, mut second) = (Vec::with_capacity(scales.len()), Vec::new());
        for block in scales.chunks(SECOND) {
            let largest = block.iter().fold(0f32, |largest, scale| largest.max((scale - offset).abs()));
            let code = |scale: &f32| nearest(&map, (scale - offset) / largest.max(f32::MIN_POSITIVE));
            codes.extend(block.iter().map(code));
            second.push(largest);
        }
        Self::Double(DoubleQuantised { codes, map: Box::new(map), second, second_block: SECOND, offset })
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(scales) => 4 * scales.len(),
            Self::Double(it) => it.codes.len() + 4 * (it.second.len() + 256),
        }
    }

    pub(super) fn content(&self, take: &mut dyn FnMut(&[u8])) {
        let mut floats = |values: &[f32]| values.iter().for_each(|value| take(&value.to_le_bytes()));
        match self {
            Self::Plain(scales) => floats(scales),
            Self::Double(it) => {
                floats(&*it.map);
                floats(&it.second);
                floats(&[it.offset]);
                take(&it.codes);
            }
        }
    }
}

/// The code of a value in ±1. bitsandbytes looks it up in a table of 65,536 entries: what is nearest is nearest to the entry.
fn nearest(map: &[f32; 256], value: f32) -> u8 {
    const ENTRIES: f32 = 65_535.0;
    let entry = f64::from(((value + 1.0) * (ENTRIES / 2.0) + 0.5).floor().clamp(0.0, ENTRIES));
    let value = 2.0 * entry / f64::from(ENTRIES) - 1.0;
    let right = map.partition_point(|code| f64::from(*code) <= value).clamp(1, 255);
    let distance = |code: usize| (f64::from(map[code]) - value).abs();
    if distance(right) < distance(right - 1) { right as u8 } else { (right - 1) as u8 }
}

/// The mean, summed in f64.
fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
    (sum / values.len().max(1) as f64) as f32
}
