//! The words of a text, and pairs of neighbouring words, as numbers: four bytes each, whatever the data. Two of a hundred
//! thousand words share a number as good as never.

/// The number of what every labelled answer has.
pub(super) const BIAS: u32 = 0;

/// The numbers of the words and pairs of words of a text, sorted, each once.
pub(super) fn word_features(text: &str) -> Vec<u32> {
    let text = text.to_lowercase();
    let hashes: Vec<u64> = words(&text).map(|word| hash(word.bytes())).collect();
    let pairs =
        hashes.windows(2).map(|pair| hash(pair[0].to_le_bytes().into_iter().chain(pair[1].to_le_bytes())));
    let mut features: Vec<u32> = hashes.iter().copied().chain(pairs).map(number).collect();
    features.sort_unstable();
    features.dedup();
    features
}

/// The words: letters, digits and what joins them. Signs that are words by themselves, in scripts without spaces, stand alone.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let joins = |c: char| c == '\'' || c == '’' || c == '-';
    let runs = text.split(move |c: char| !c.is_alphanumeric() && !joins(c));
    runs.map(move |run| run.trim_matches(joins)).filter(|run| !run.is_empty()).flat_map(|run| {
        run.split_inclusive(stands_alone).flat_map(|part| {
            let last = part.char_indices().next_back().filter(|&(_, c)| stands_alone(c));
            let (before, sign) = part.split_at(last.map_or(part.len(), |(at, _)| at));
            [before, sign].into_iter().filter(|word| !word.is_empty())
        })
    })
}

/// Kana and ideographs.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// FNV-1a: the same on every machine and in every version, which the standard library does not promise of its own.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Never that of the bias.
fn number(hash: u64) -> u32 {
    ((hash ^ (hash >> 32)) as u32).max(BIAS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_where_people_cut_them() {
        let cut = |text: &'static str| words(text).collect::<Vec<_>>();
        assert_eq!(cut("It's \"well-known\", isn't it?"), ["It's", "well-known", "isn't", "it"]);
        assert_eq!(cut("猫は cat2寝る"), ["猫", "は", "cat2", "寝", "る"]);
        assert_eq!(cut(" - ' … "), [""; 0]);
    }

    #[test]
    fn case_and_repetition_do_not_count_and_order_does() {
        assert_eq!(word_features("Yes yes YES"), word_features("yes, yes"));
        assert_ne!(word_features("a b"), word_features("b a"));
        assert!(word_features("a b c").iter().all(|&it| it != BIAS));
    }
}
