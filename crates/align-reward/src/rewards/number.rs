//! Numbers in texts, as people write them: `-1,234.5`, `$40`, `7.`, `twenty-one`.

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

/// What follows the last `####`, the mark of a final answer in GSM8K: the first number behind it.
pub(super) fn stated_answer(text: &str) -> Option<f64> {
    let (_, answer) = text.rsplit_once("####")?;
    numbers(answer).into_iter().next()
}

/// The last number in a text.
pub(super) fn last_number(text: &str) -> Option<f64> {
    numbers(text).pop()
}

/// The last number from zero to ninety-nine in a text that writes it as English words.
pub(super) fn last_number_in_words(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let ones = |word: &str| ONES.iter().position(|name| *name == word);
    let tens = |word: &str| TENS.iter().position(|name| *name == word).map(|place| 10 * (place + 2));
    let last = words.iter().rposition(|word| ones(word).or(tens(word)).is_some())?;
    let before = last.checked_sub(1).and_then(|before| tens(words[before]));
    let value = match (before, ones(words[last])) {
        (Some(tens), Some(ones @ 1..=9)) => tens + ones,
        (_, ones) => ones.or(tens(words[last]))?,
    };
    Some(value as f64)
}

/// All numbers of a text: digits with commas between groups of three and a decimal point, a minus sign in front if
/// nothing that could be subtracted from stands before it.
fn numbers(text: &str) -> Vec<f64> {
    let characters: Vec<char> = text.chars().collect();
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < characters.len() {
        if !digit(at) {
            at += 1;
            continue;
        }
        let start = at;
        let mut number = String::new();
        while digit(at) || (characters.get(at) == Some(&',') && is_group(&characters, at)) {
            number.extend((characters[at] != ',').then_some(characters[at]));
            at += 1;
        }
        if characters.get(at) == Some(&'.') && digit(at + 1) {
            number.push('.');
            at += 1;
            while digit(at) {
                number.push(characters[at]);
                at += 1;
            }
        }
        let before = |back: usize| start.checked_sub(back).map(|at| characters[at]);
        let sign_at = if before(1) == Some('$') { 2 } else { 1 };
        let is_sign = before(sign_at) == Some('-')
            && before(sign_at + 1).is_none_or(|c| !(c.is_alphanumeric() || c == ')' || c == ']'));
        let value: f64 = number.parse().expect("digits with at most one point are a number");
        found.push(if is_sign { -value } else { value });
    }
    found
}

/// Whether three digits, and no fourth, follow the comma.
fn is_group(characters: &[char], comma: usize) -> bool {
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    (1..=3).all(|ahead| digit(comma + ahead)) && !digit(comma + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let check = |text: &str, expected: &[f64]| assert_eq!(numbers(text), expected, "{text}");
        check("It is 7.", &[7.0]);
        check("1,234.50 and -3", &[1234.5, -3.0]);
        check("1,2,3", &[1.0, 2.0, 3.0]);
        check("10-3=7, -$5, x-2", &[10.0, 3.0, 7.0, -5.0, 2.0]);
        check("no number", &[]);
        check("1,000,000 of 12,34", &[1_000_000.0, 12.0, 34.0]);
        assert_eq!(stated_answer("#### 1\n#### 72 apples"), Some(72.0));
        assert_eq!(stated_answer("72"), None);
        assert_eq!(last_number("5 of 9"), Some(9.0));
    }

    #[test]
    fn numbers_in_words_are_read_whole() {
        let check =
            |text: &str, expected: Option<f64>| assert_eq!(last_number_in_words(text), expected, "{text}");
        check("It is eleven, because four plus seven is Eleven.", Some(11.0));
        check("Twenty-one", Some(21.0));
        check("twenty one of ninety", Some(90.0));
        check("forty twelve", Some(12.0));
        check("zero", Some(0.0));
        check("none, often weighed", None);
    }
}
