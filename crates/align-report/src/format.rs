//! Figures as text: the same in all files, and a dash for what is not known.

pub(crate) const UNKNOWN: &str = "–";

/// `0.715` as `71.5 %`.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { UNKNOWN.to_owned() }
}

/// Both ends of an interval of shares: `65.0 to 77.5 %`.
pub(crate) fn percent_interval([low, high]: [f64; 2]) -> String {
    if low.is_finite() && high.is_finite() {
        format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high)
    } else {
        UNKNOWN.to_owned()
    }
}

/// Three decimals where that is enough, three significant digits where it is not, no more digits than a reader can use.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => UNKNOWN.to_owned(),
        0.0 => "0".to_owned(),
        size if !(1e-3..1e7).contains(&size) => format!("{value:.2e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The same with a sign.
pub(crate) fn signed(value: f64) -> String {
    let text = number(value);
    if value > 0.0 { format!("+{text}") } else { text }
}

/// Both ends of an interval of figures: `0.450 to 1.010`.
pub(crate) fn interval([low, high]: [f64; 2]) -> String {
    format!("{} to {}", number(low), number(high))
}

/// As short as it can be without another value: for settings and ticks.
pub(crate) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    // Ticks are sums of steps and may miss their value by a rounding.
    let value: f64 = format!("{value:.9e}").parse().unwrap_or(value);
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size <= 1e-3 || size >= 1e6 => format!("{value:e}"),
        _ => format!("{value}"),
    }
}

/// A probability; below a thousandth only that.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        _ if !p.is_finite() => UNKNOWN.to_owned(),
        p if p < 0.001 => "p < 0.001".to_owned(),
        p => format!("p = {p:.3}"),
    }
}

/// `84 s`, `12 min 3 s`, `1 h 4 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return UNKNOWN.to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `222 MB`, `1.4 GB`.
pub(crate) fn memory(megabytes: f64) -> String {
    match megabytes {
        _ if !megabytes.is_finite() => UNKNOWN.to_owned(),
        mb if mb >= 1000.0 => format!("{:.1} GB", mb / 1000.0),
        mb => format!("{mb:.0} MB"),
    }
}

/// `1 prompt`, `200 prompts`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_a_reader_can_use() {
        let check = |value: f64, text: &str| assert_eq!(number(value), text);
        check(0.0, "0");
        check(0.71566, "0.716");
        check(-4.6191, "-4.619");
        check(48.123, "48.12");
        check(1234.5, "1234");
        check(3e-5, "3.00e-5");
        check(f64::NAN, UNKNOWN);
        assert_eq!(signed(0.25), "+0.250");
        assert_eq!(plain(0.30000000000000004), "0.3");
        assert_eq!(plain(4e-4), "4e-4");
    }

    #[test]
    fn times_and_sizes_are_in_units_that_people_think_in() {
        let check = |seconds: f64, text: &str| assert_eq!(duration(seconds), text);
        check(3.21, "3.2 s");
        check(83.9, "1 min 24 s");
        check(59.6, "1 min");
        check(3840.0, "1 h 4 min");
        check(f64::NAN, UNKNOWN);
        assert_eq!((memory(222.4), memory(1432.0)), ("222 MB".to_owned(), "1.4 GB".to_owned()));
    }

    #[test]
    fn shares_and_probabilities() {
        assert_eq!((percent(0.7125), percent(f64::NAN)), ("71.2 %".to_owned(), UNKNOWN.to_owned()));
        assert_eq!(percent_interval([0.65, 0.775]), "65.0 to 77.5 %");
        assert_eq!((p_value(1e-9), p_value(0.034)), ("p < 0.001".to_owned(), "p = 0.034".to_owned()));
        assert_eq!((count(1, "prompt"), count(2, "prompt")), ("1 prompt".to_owned(), "2 prompts".to_owned()));
    }
}
