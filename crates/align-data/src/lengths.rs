//! What rows have to do with each other by their lengths: which of them fill a bin, which stand together.

use std::collections::{BTreeMap, VecDeque};

/// Rows packed into bins by best fit, the longest first (Ding et al. 2024, arXiv:2404.10830, algorithm 1; TRL's `bfd`):
/// each goes where it leaves the least room, and of bins with as much room to the one that has had it longest. A row that is
/// longer than a bin has one of its own.
pub(crate) fn best_fit_decreasing(rows: &[usize], lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut longest_first = rows.to_vec();
    longest_first.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    let mut bins: Vec<Vec<usize>> = Vec::new();
    let mut with_room: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
    for row in longest_first {
        let length = lengths[row];
        let (bin, room) = match with_room.range_mut(length.max(1)..).next() {
            Some((&room, waiting)) => {
                let bin = waiting.pop_front().expect("no room is kept without a bin");
                if waiting.is_empty() {
                    with_room.remove(&room);
                }
                (bin, room)
            }
            None => {
                bins.push(Vec::new());
                (bins.len() - 1, capacity)
            }
        };
        bins[bin].push(row);
        match room.saturating_sub(length) {
            0 => {}
            left => with_room.entry(left).or_default().push_back(bin),
        }
    }
    bins
}

/// Shuffled rows sorted by length, the longest first, within groups of as many updates as make four groups, at most fifty;
/// then the longest row of all comes to the front, so that what does not fit memory does not fit it at once (transformers'
/// `get_length_grouped_indices`).
pub(crate) fn grouped_by_length(mut rows: Vec<usize>, lengths: &[usize], update: usize) -> Vec<usize> {
    let updates = (rows.len() / update.saturating_mul(4)).clamp(1, 50);
    let group = update.saturating_mul(updates);
    for group in rows.chunks_mut(group) {
        group.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    }
    // The first of the longest.
    let longest = (0..rows.len()).step_by(group).rev().max_by_key(|&at| lengths[rows[at]]);
    if let Some(longest) = longest {
        rows.swap(0, longest);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case of TRL's or transformers' (tests/fixtures/trl/lengths.py).
    #[derive(serde::Deserialize)]
    struct Cases {
        packed: Vec<Packed>,
        grouped: Vec<Grouped>,
    }

    #[derive(serde::Deserialize)]
    struct Packed {
        capacity: usize,
        lengths: Vec<usize>,
        bins: Vec<Vec<usize>>,
    }

    #[derive(serde::Deserialize)]
    struct Grouped {
        update: usize,
        lengths: Vec<usize>,
        shuffled: Vec<usize>,
        order: Vec<usize>,
    }

    fn cases() -> Cases {
        serde_json::from_str(include_str!("../tests/fixtures/trl/lengths.json")).unwrap()
    }

    #[test]
    fn bins_are_trls() {
        for Packed { capacity, lengths, bins } in cases().packed {
            let rows: Vec<usize> = (0..lengths.len()).collect();
            assert_eq!(best_fit_decreasing(&rows, &lengths, capacity), bins);
        }
    }

    #[test]
    fn groups_are_transformers() {
        for Grouped { update, lengths, shuffled, order } in cases().grouped {
            assert_eq!(grouped_by_length(shuffled, &lengths, update), order);
        }
    }

    #[test]
    fn every_row_goes_where_it_leaves_the_least_room() {
        let rows: Vec<usize> = (0..6).collect();
        let bins = best_fit_decreasing(&rows, &[6, 2, 5, 3, 9, 4], 10);
        assert_eq!(bins, [vec![4], vec![0, 5], vec![2, 3, 1]]);
        assert_eq!(best_fit_decreasing(&[0, 1, 2], &[20, 1, 0], 10), [vec![0], vec![1, 2]]);
    }
}
