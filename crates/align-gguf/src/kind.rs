//! Types of a file's tensors.

use std::fmt;

/// The type of a tensor's elements: numbers, or blocks of them within a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "llama.cpp's names")]
pub enum Kind {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 16 bits with the exponents of 32.
    BF16,
    /// 4 bits and a scale.
    Q4_0,
    /// 4 bits, a scale and a smallest.
    Q4_1,
    /// 5 bits and a scale.
    Q5_0,
    /// 5 bits, a scale and a smallest.
    Q5_1,
    /// 8 bits and a scale.
    Q8_0,
    /// 2 bits, scales of 4.
    Q2_K,
    /// 3 bits, scales of 6.
    Q3_K,
    /// 4 bits, scales of 6.
    Q4_K,
    /// 5 bits, scales of 6.
    Q5_K,
    /// 6 bits, scales of 8.
    Q6_K,
}

/// Of each its number in files, the elements of a block, and its bytes.
const ALL: [(Kind, u32, usize, usize); 13] = [
    (Kind::F32, 0, 1, 4),
    (Kind::F16, 1, 1, 2),
    (Kind::BF16, 30, 1, 2),
    (Kind::Q4_0, 2, 32, 18),
    (Kind::Q4_1, 3, 32, 20),
    (Kind::Q5_0, 6, 32, 22),
    (Kind::Q5_1, 7, 32, 24),
    (Kind::Q8_0, 8, 32, 34),
    (Kind::Q2_K, 10, 256, 84),
    (Kind::Q3_K, 11, 256, 110),
    (Kind::Q4_K, 12, 256, 144),
    (Kind::Q5_K, 13, 256, 176),
    (Kind::Q6_K, 14, 256, 210),
];

/// Types that are not read, by their numbers.
const OTHERS: [(u32, &str); 20] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

impl Kind {
    /// That of the number in a file, or what the number is called.
    pub(crate) fn numbered(number: u32) -> Result<Self, String> {
        if let Some((kind, ..)) = ALL.iter().find(|(_, own, ..)| *own == number) {
            return Ok(*kind);
        }
        let other = OTHERS.iter().find(|(own, _)| *own == number).map_or("an unknown type", |(_, name)| name);
        let known: Vec<String> = ALL.iter().map(|(kind, ..)| kind.to_string()).collect();
        Err(format!("is in blocks of {other} (type {number}); read are {}", known.join(", ")))
    }

    fn row(self) -> (u32, usize, usize) {
        let [f32, ..] = ALL;
        let (_, number, block, bytes) = *ALL.iter().find(|(kind, ..)| *kind == self).unwrap_or(&f32);
        (number, block, bytes)
    }

    pub(crate) fn number(self) -> u32 {
        self.row().0
    }

    /// Elements of a block.
    pub fn block(self) -> usize {
        self.row().1
    }

    /// Whether elements are numbers, each by itself.
    pub fn is_number(self) -> bool {
        self.block() == 1
    }

    /// Bytes of a tensor of that shape; none if its rows are not made of whole blocks, or there are more than can be counted.
    pub fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (_, block, bytes) = self.row();
        let (columns, rows) = shape.split_last()?;
        let blocks = columns.is_multiple_of(block).then_some(columns / block)?;
        rows.iter().try_fold(blocks.checked_mul(bytes)?, |bytes, rows| bytes.checked_mul(*rows))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
