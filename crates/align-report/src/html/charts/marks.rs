//! The point of a series: its shape tells it without its colour.

/// Series that look different; further ones begin again.
pub(in crate::html) const STYLES: usize = 6;

/// A point at (x, y) of about `radius`.
pub(super) fn mark(series: usize, x: f64, y: f64, radius: f64) -> String {
    let r = radius;
    match series % STYLES {
        0 => format!(r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="{r:.1}"/>"#),
        1 => path(x - r, y - r, &format!("h{d:.1}v{d:.1}h-{d:.1}z", d = 2.0 * r)),
        2 => path(x, y - 1.2 * r, &format!("l{a:.1} {b:.1}h-{c:.1}z", a = 1.2 * r, b = 2.1 * r, c = 2.4 * r)),
        3 => path(x, y - 1.4 * r, &format!("l{d:.1} {d:.1} -{d:.1} {d:.1} -{d:.1} -{d:.1}z", d = 1.4 * r)),
        4 => {
            path(x, y + 1.2 * r, &format!("l{a:.1} -{b:.1}h-{c:.1}z", a = 1.2 * r, b = 2.1 * r, c = 2.4 * r))
        }
        _ => {
            let (a, b) = (0.5 * r, r);
            path(
                x - a,
                y - b - a,
                &format!(
                    "h{b:.1}v{b:.1}h{b:.1}v{b:.1}h-{b:.1}v{b:.1}h-{b:.1}v-{b:.1}h-{b:.1}v-{b:.1}h{b:.1}z"
                ),
            )
        }
    }
}

fn path(x: f64, y: f64, rest: &str) -> String {
    format!(r#"<path class="mark" d="M{x:.1} {y:.1}{rest}"/>"#)
}
