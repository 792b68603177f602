//! Numbers as words, written and read: `twenty-one` is 21. Enough for the small sums of the world, 0 to 99.

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// `number` in words. Numbers of 100 and more are written in digits: no sum of the world reaches them.
pub fn in_words(number: u32) -> String {
    match number {
        0..=19 => ONES[number as usize].to_owned(),
        20..=99 => {
            let tens = TENS[(number / 10 - 2) as usize];
            if number.is_multiple_of(10) {
                tens.to_owned()
            } else {
                format!("{tens}-{}", ONES[(number % 10) as usize])
            }
        }
        _ => number.to_string(),
    }
}

/// All numbers from 0 to 99 in `text`, in order, written as words (`twenty-one`, `twenty one`) or as digits.
pub fn numbers_in(text: &str) -> Vec<u32> {
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
    let mut numbers = Vec::new();
    while let Some(word) = words.next() {
        if let Some(tens) = TENS.iter().position(|it| *it == word) {
            let ones =
                words.peek().and_then(|next| position_of_ones(next)).filter(|ones| (1..10).contains(ones));
            if ones.is_some() {
                words.next();
            }
            numbers.push((tens as u32 + 2) * 10 + ones.unwrap_or(0));
        } else if let Some(ones) = position_of_ones(word) {
            numbers.push(ones);
        } else if let Some(digits) = word.parse().ok().filter(|number| *number < 100) {
            numbers.push(digits);
        }
    }
    numbers
}

fn position_of_ones(word: &str) -> Option<u32> {
    ONES.iter().position(|it| *it == word).map(|at| at as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read_as_it_was_written() {
        for number in 0..100 {
            assert_eq!(numbers_in(&format!("It is {}.", in_words(number))), [number]);
        }
    }

    #[test]
    fn numbers_are_read_from_words_digits_and_within_sentences_only() {
        assert_eq!(numbers_in("Twenty one, and 7, and forty."), [21, 7, 40]);
        assert_eq!(numbers_in("Someone has often weighed a stone."), [] as [u32; 0]);
    }
}
