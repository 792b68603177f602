//! Logistic regression on sparse rows, by Newton's method with conjugate gradients (Lin, Weng and Keerthi 2008): as few passes
//! over the rows as there are directions that matter, and nothing left to chance.

/// A place of a row and its value, 1 or −1; the other places of the row are 0.
type Entry = (u32, i8);

/// Newton steps at most; five to ten are the rule.
const STEPS: usize = 50;

/// Directions per step at most.
const DIRECTIONS: usize = 50;

/// The share of the first gradient's norm that is left in the end.
const LEFT: f64 = 1e-4;

/// The w of `places` weights with the smallest ½|w|² + Σ log(1 + exp(−w·x)) over the rows x.
pub(super) fn weights(rows: &[Vec<Entry>], places: usize) -> Vec<f64> {
    let mut weights = vec![0.0; places];
    let mut first = None;
    for _ in 0..STEPS {
        let margins: Vec<f64> = rows.iter().map(|row| dot(row, &weights)).collect();
        let misses: Vec<f64> = margins.iter().map(|margin| 1.0 / (1.0 + margin.exp())).collect();
        let mut descent: Vec<f64> = weights.iter().map(|weight| -weight).collect();
        rows.iter().zip(&misses).for_each(|(row, &miss)| add(&mut descent, row, miss));
        let size = norm(&descent);
        if size <= LEFT * *first.get_or_insert(size) {
            break;
        }
        let curvature: Vec<f64> = misses.iter().map(|miss| miss * (1.0 - miss)).collect();
        let step = solve(rows, &curvature, &descent);
        // The loss is convex: a step that does not lower it was too long.
        let along = dense_dot(&descent, &step);
        let before = loss(&weights, &margins);
        let mut share = 1.0;
        loop {
            let next: Vec<f64> =
                weights.iter().zip(&step).map(|(weight, step)| weight + share * step).collect();
            let margins: Vec<f64> = rows.iter().map(|row| dot(row, &next)).collect();
            if share < 1e-6 || loss(&next, &margins) <= before - 1e-4 * share * along {
                weights = next;
                break;
            }
            share /= 2.0;
        }
    }
    weights
}

/// About the s with (1 + Σ cᵢ xᵢxᵢᵀ) s = `target`.
fn solve(rows: &[Vec<Entry>], curvature: &[f64], target: &[f64]) -> Vec<f64> {
    let mut solution = vec![0.0; target.len()];
    let (mut rest, mut direction) = (target.to_vec(), target.to_vec());
    let mut size = dense_dot(&rest, &rest);
    let enough = 0.01 * size; // a tenth of its norm
    for _ in 0..DIRECTIONS {
        if size <= enough {
            break;
        }
        let mut image = direction.clone();
        for (row, curvature) in rows.iter().zip(curvature) {
            add(&mut image, row, curvature * dot(row, &direction));
        }
        let length = size / dense_dot(&direction, &image);
        solution.iter_mut().zip(&direction).for_each(|(own, direction)| *own += length * direction);
        rest.iter_mut().zip(&image).for_each(|(own, image)| *own -= length * image);
        let next = dense_dot(&rest, &rest);
        direction.iter_mut().zip(&rest).for_each(|(own, rest)| *own = rest + next / size * *own);
        size = next;
    }
    solution
}

fn loss(weights: &[f64], margins: &[f64]) -> f64 {
    // log(1 + exp(−m)) without overflow.
    let miss = |margin: &f64| (-margin).max(0.0) + (-margin.abs()).exp().ln_1p();
    dense_dot(weights, weights) / 2.0 + margins.iter().map(miss).sum::<f64>()
}

fn dot(row: &[Entry], values: &[f64]) -> f64 {
    row.iter().map(|&(place, side)| values[place as usize] * f64::from(side)).sum()
}

fn add(values: &mut [f64], row: &[Entry], times: f64) {
    row.iter().for_each(|&(place, side)| values[place as usize] += times * f64::from(side));
}

fn dense_dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(values: &[f64]) -> f64 {
    dense_dot(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_zero_where_it_ends() {
        let rows: Vec<Vec<Entry>> = vec![
            vec![(0, 1), (1, -1)],
            vec![(0, 1), (2, 1)],
            vec![(1, 1), (2, -1)],
            vec![(0, -1)],
            vec![],
            vec![(3, 1)],
            vec![(3, 1), (0, 1)],
        ];
        let found = weights(&rows, 4);
        let mut gradient = found.clone();
        for row in &rows {
            add(&mut gradient, row, -1.0 / (1.0 + dot(row, &found).exp()));
        }
        assert!(norm(&gradient) < 1e-3 && found[3] > 0.0, "{found:?}: {gradient:?}");
        assert_eq!(weights(&[], 0), [0.0; 0]);
    }
}
