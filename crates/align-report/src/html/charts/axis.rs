//! Scales with round numbers at their ticks.

use crate::format::plain;

/// From values to a share of a length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Places with what is written there.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Around the values, between round numbers.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        match (low, high) {
            _ if low > high => Self::between(0.0, 1.0),
            _ if low == high => {
                let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
                Self::between(low - margin, high + margin)
            }
            _ => Self::between(low, high),
        }
    }

    /// As [`Self::around`], from zero on.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        Self::around(values.into_iter().chain([0.0]))
    }

    /// With ticks that are steps of 1, 2 or 5 times a power of ten; the ends are widened to ticks.
    fn between(low: f64, high: f64) -> Self {
        let rough = (high - low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let mut axis = Self {
            low,
            high,
            ticks: (0..=(last - first) as usize)
                .map(|i| (first + i as f64) * step)
                .map(|place| (place, plain(place)))
                .collect(),
        };
        // Half a step is the most that may be left without a line at an end.
        if low < first * step - step * 0.45 {
            axis.low = (first - 1.0) * step;
            axis.ticks.insert(0, (axis.low, plain(axis.low)));
        }
        if high > last * step + step * 0.45 {
            axis.high = (last + 1.0) * step;
            axis.ticks.push((axis.high, plain(axis.high)));
        }
        axis
    }

    /// Shares between two of them, as percent.
    pub(super) fn percent(low: f64, high: f64) -> Self {
        let step = if high - low > 0.6 { 0.25 } else { 0.1 };
        let steps = ((high - low) / step).round() as usize;
        let ticks = (0..=steps).map(|i| low + step * i as f64);
        Self { low, high, ticks: ticks.map(|at| (at, format!("{:.0} %", 100.0 * at))).collect() }
    }

    /// Powers of two by their exponent.
    pub(super) fn doublings(exponents: impl IntoIterator<Item = f64>) -> Self {
        let mut axis = Self::from_zero(exponents);
        (axis.low, axis.high) = (axis.low.floor(), axis.high.ceil());
        axis.ticks =
            (axis.low as i32..=axis.high as i32).map(|e| (f64::from(e), plain(2f64.powi(e)))).collect();
        axis
    }

    /// A little room around what touches the ends.
    pub(super) fn with_room(mut self) -> Self {
        let room = 0.04 * (self.high - self.low);
        self.low -= room;
        self.high += room;
        self
    }

    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(places(&Axis::around([0.32, 0.69])), ["0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(places(&Axis::around([10.0, 250.0])), ["0", "50", "100", "150", "200", "250"]);
        assert_eq!(places(&Axis::around([-4.0, 4.0])), ["-4", "-2", "0", "2", "4"]);
        assert_eq!(places(&Axis::around([1e-6, 4e-4])), ["0", "1e-4", "2e-4", "3e-4", "4e-4"]);
    }

    #[test]
    fn a_value_that_never_varies_and_no_value_have_an_axis() {
        let axis = Axis::around([2.0, 2.0]);
        assert!(axis.low < 2.0 && axis.high > 2.0 && !axis.ticks.is_empty());
        assert_eq!((Axis::around([]).low, Axis::around([f64::NAN]).high), (0.0, 1.0));
        assert!(Axis::around([0.0]).ticks.len() > 1);
    }

    #[test]
    fn shares_and_doublings() {
        assert_eq!(places(&Axis::percent(0.0, 1.0)), ["0 %", "25 %", "50 %", "75 %", "100 %"]);
        assert_eq!(places(&Axis::doublings([0.0, 4.0])), ["1", "2", "4", "8", "16"]);
        assert_eq!(Axis::percent(0.5, 1.0).share(0.75), 0.5);
    }
}
