//! Scales with round numbers at their ticks.

use crate::format::plain;

/// Values beyond are drawn at the edge: their differences would be infinite.
const LARGEST: f64 = 1e300;
/// Differences below are none: numbers so small have lost digits, and their powers of ten are zero.
const SMALLEST: f64 = 1e-290;

/// The smallest and the largest of the values that are numbers; none if there is none.
pub(super) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let values = finite.map(|value| (value.clamp(-LARGEST, LARGEST), value.clamp(-LARGEST, LARGEST)));
    values.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

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
        let Some((low, high)) = extent(values) else { return Self::between(0.0, 1.0) };
        let size = low.abs().max(high.abs());
        // Closer together than the digits of a tick can tell, or than numbers of full precision lie.
        if high - low > size * 1e-8 && high - low > SMALLEST {
            return Self::between(low, high);
        }
        let margin = if size > SMALLEST { size * 0.1 } else { 1.0 };
        Self::between(low - margin, high + margin)
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
            ticks: (0..=(last - first).clamp(0.0, 9.0) as usize)
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
        let mut axis = Self::from_zero(exponents.into_iter().map(|exponent| exponent.clamp(-1000.0, 1000.0)));
        (axis.low, axis.high) = (axis.low.floor(), axis.high.ceil());
        let (low, high) = (axis.low as i32, axis.high as i32);
        let step = (high - low) as usize / 16 + 1;
        axis.ticks = (low..=high).step_by(step).map(|e| (f64::from(e), plain(2f64.powi(e)))).collect();
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
        (value.clamp(-LARGEST, LARGEST) - self.low) / (self.high - self.low)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Any bits, and what bits seldom are: ends of the range, and values beside each other.
    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let ends =
            [0.0, -0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, f64::MAX, f64::MIN, 1.0, 1.0 + f64::EPSILON, 1e9];
        let number = prop_oneof![
            proptest::num::f64::ANY,
            proptest::sample::select(ends.to_vec()),
            -1e3..1e3,
            (-1e3..1e3).prop_map(|value: f64| value * 1e-305),
        ];
        proptest::collection::vec(number, 0..6)
    }

    fn is_drawable(axis: &Axis, values: &[f64]) -> bool {
        let places = axis.ticks.iter().all(|(place, _)| place.is_finite() && axis.share(*place).is_finite());
        let shares =
            values.iter().filter(|value| value.is_finite()).all(|value| axis.share(*value).is_finite());
        axis.low < axis.high
            && (axis.high - axis.low).is_finite()
            && axis.ticks.len() <= 20
            && places
            && shares
    }

    proptest! {
        #[test]
        fn an_axis_around_any_numbers_is_one_with_few_ticks(values in numbers()) {
            let all = || values.iter().copied();
            for axis in [Axis::around(all()), Axis::from_zero(all()), Axis::doublings(all()), Axis::around(all()).with_room()] {
                prop_assert!(is_drawable(&axis, &values), "{axis:?}");
            }
        }
    }

    #[test]
    fn values_too_close_or_too_far_for_ticks_have_an_axis() {
        for values in [
            [5e-324, -5e-324],
            [1e-310, 3e-310],
            [f64::MAX, f64::MIN],
            [1.0, 1.0 + f64::EPSILON],
            [1e300, 1e308],
        ] {
            assert!(is_drawable(&Axis::around(values), &values), "{values:?}: {:?}", Axis::around(values));
        }
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
