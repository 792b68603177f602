//! Inputs made of others: bits turned, pieces repeated, moved, left out and taken from elsewhere, numbers made extreme,
//! words put in that mean something to some parser. The same seed and number give the same input.

/// What parsers stumble over.
const WORDS: [&str; 44] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\0",
    "\u{feff}",
    "null",
    "true",
    "NaN",
    "-0",
    "1e999",
    "\\ud800",
    "\\u0000",
    "{}",
    "[]",
    "\"\":",
    "é",
    "🎉",
    "\u{202e}",
    "{{",
    "}}",
    "{%",
    "%}",
    "|",
    "~",
    "**",
    "not ",
    "(",
    ")",
    ".",
    "%s",
    "{0}",
    "\n\nAssistant:",
    "\n\nHuman:",
    "</s>",
    "<s>",
    "__proto__",
    "../",
    "\r\n",
];

const NUMBERS: [&str; 18] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "1e308",
    "1e-308",
    "5e-324",
    "0.1",
    "340282366920938463463374607431768211456",
];

const LONGEST: usize = 1 << 14;

/// splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A range of a text of this length, mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        let end = (start + self.below(most + 1)).min(length);
        start..end
    }
}

/// Input number `index` of a corpus, which is not empty.
pub fn mutated(corpus: &[Vec<u8>], seed: u64, index: u64) -> Vec<u8> {
    let mut random = Random(seed ^ index.wrapping_mul(0x2545_f491_4f6c_dd1d));
    random.next();
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        change(&mut bytes, corpus, &mut random);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let length = bytes.len();
    let at = random.below(length + 1);
    match random.below(10) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        2 => {
            bytes.drain(random.range(length));
        }
        3 => {
            let most = if random.below(8) == 0 { 400 } else { 3 };
            let piece = bytes[random.range(length)].repeat(1 + random.below(most));
            bytes.splice(at..at, piece);
        }
        4 | 5 => {
            let word = WORDS[random.below(WORDS.len())];
            bytes.splice(at..at, word.bytes());
        }
        6 | 7 => {
            if let Some(number) = number_behind(bytes, at) {
                bytes.splice(number, NUMBERS[random.below(NUMBERS.len())].bytes());
            }
        }
        8 => {
            let other = &corpus[random.below(corpus.len())];
            let piece = other[random.range(other.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let other = &corpus[random.below(corpus.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
    }
}

/// The next run of digits at or behind a place.
fn number_behind(bytes: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let start = at + bytes[at..].iter().position(u8::is_ascii_digit)?;
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(start..start + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_number_give_the_same_input() {
        let corpus = [b"{\"a\": 1}".to_vec(), b"[2, 3]".to_vec(), Vec::new()];
        let all: Vec<_> = (0..500).map(|index| mutated(&corpus, 7, index)).collect();
        assert_eq!(all, (0..500).map(|index| mutated(&corpus, 7, index)).collect::<Vec<_>>());
        let different = all.iter().collect::<std::collections::BTreeSet<_>>().len();
        // A third of this corpus is empty, of which little can be made.
        assert!(different > 300, "{different}");
        assert!(all.iter().all(|input| input.len() <= LONGEST));
    }
}
