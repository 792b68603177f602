//! The completions of one prompt share its rows of the cache. Each group has a block of rows: the
//! prompt's, then a lane for each completion that can be underway at a time.

use std::collections::BTreeMap;
use std::iter::once;
use std::ops::{Index, IndexMut, Range};

use super::rows::Rows;

/// A prompt in the cache.
#[derive(Debug)]
pub(super) struct Group {
    /// Rows of the prompt.
    pub(super) prompt: Range<usize>,
    /// Lanes that no sequence has; the last is taken first.
    pub(super) lanes: Vec<Range<usize>>,
    block: Range<usize>,
    incomplete: usize,
}

impl Group {
    /// The rows of the prompt and of a completion's tokens, as one range where they adjoin.
    pub(super) fn context(&self, own: Range<usize>) -> Vec<Range<usize>> {
        let prompt = self.prompt.clone();
        if prompt.end == own.start { once(prompt.start..own.end).collect() } else { vec![prompt, own] }
    }
}

/// The prompts in the cache, by a number that is never used twice.
#[derive(Debug)]
pub(super) struct Groups {
    here: BTreeMap<usize, Group>,
    next: usize,
    rows: Rows,
    size: Size,
    capacity: usize,
}

/// What decides how many rows a group needs.
#[derive(Clone, Copy, Debug)]
struct Size {
    lane: usize,
    most_lanes: usize,
    most_rows: usize,
}

impl Size {
    fn lanes(self, prompt: usize, completions: usize) -> usize {
        let fit = self.most_rows.saturating_sub(prompt).checked_div(self.lane).unwrap_or(usize::MAX);
        completions.min(self.most_lanes).min(fit.max(1))
    }

    fn rows(self, prompt: usize, completions: usize) -> usize {
        prompt + self.lanes(prompt, completions) * self.lane
    }
}

impl Groups {
    /// Room for `groups`, prompts with their number of completions, of which at most `most_lanes` are
    /// underway together, each with a lane of `lane` rows; `most_rows` at most, unless a completion alone
    /// needs more.
    pub(super) fn new<'g>(
        groups: impl IntoIterator<Item = &'g (&'g [u32], usize)>,
        lane: usize,
        most_lanes: usize,
        most_rows: usize,
    ) -> Self {
        let size = Size { lane, most_lanes, most_rows };
        let need = |&(prompt, completions): &(&[u32], usize)| size.rows(prompt.len(), completions);
        let mut needs: Vec<usize> = groups.into_iter().map(need).collect();
        needs.sort_unstable_by(|a, b| b.cmp(a));
        let largest = needs.first().copied().unwrap_or(0);
        let capacity = needs.iter().take(most_lanes).sum::<usize>().min(most_rows.max(largest));
        Self { here: BTreeMap::new(), next: 0, rows: Rows::new(capacity), size, capacity }
    }

    /// Rows that the cache must have.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Gives a prompt of `prompt` tokens its rows, if there is room now. Each of its completions must
    /// [`Groups::leave`].
    pub(super) fn enter(&mut self, prompt: usize, completions: usize) -> Option<usize> {
        let (lanes, lane) = (self.size.lanes(prompt, completions), self.size.lane);
        let block = self.rows.take(prompt + lanes * lane)?;
        let prompt = block.start..block.start + prompt;
        let lanes = (0..lanes).rev().map(|i| prompt.end + i * lane..prompt.end + (i + 1) * lane).collect();
        let number = self.next;
        self.next += 1;
        self.here.insert(number, Group { prompt, lanes, block, incomplete: completions });
        Some(number)
    }

    /// A completion ended; `lane` is what it had, empty if none. With the last one the prompt goes too.
    pub(super) fn leave(&mut self, number: usize, lane: Range<usize>) {
        let group = &mut self[number];
        group.incomplete -= 1;
        if !lane.is_empty() {
            group.lanes.push(lane);
        }
        if group.incomplete == 0 {
            let block = group.block.clone();
            self.here.remove(&number);
            self.rows.give_back(block);
        }
    }
}

impl Index<usize> for Groups {
    type Output = Group;

    fn index(&self, number: usize) -> &Group {
        &self.here[&number]
    }
}

impl IndexMut<usize> for Groups {
    fn index_mut(&mut self, number: usize) -> &mut Group {
        self.here.get_mut(&number).expect("a group stays until its last completion leaves")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &[u32] = &[0; 5];

    #[test]
    fn a_group_has_its_prompt_once_and_a_lane_for_each_completion() {
        let mut groups = Groups::new(&[(PROMPT, 3), (PROMPT, 1)], 4, 64, 1000);
        assert_eq!(groups.capacity(), 5 + 3 * 4 + 5 + 4);
        let group = groups.enter(5, 3).unwrap();
        let lanes: Vec<_> = (0..3).map(|_| groups[group].lanes.pop().unwrap()).collect();
        assert_eq!(lanes, [5..9, 9..13, 13..17]);
        assert_eq!(groups[group].context(5..7), once(0..7).collect::<Vec<_>>());
        assert_eq!(groups[group].context(9..10), [0..5, 9..10]);
        assert_eq!(groups.enter(5, 1), Some(1));
        assert_eq!(groups.enter(5, 1), None);
        lanes.into_iter().for_each(|lane| groups.leave(group, lane));
        assert_eq!(groups.enter(5, 3), Some(2), "the rows are free again");
    }

    #[test]
    fn too_large_a_group_has_fewer_lanes_and_one_at_least() {
        let capacity = |completions, most_lanes, most_rows| {
            Groups::new(&[(PROMPT, completions)], 4, most_lanes, most_rows).capacity()
        };
        assert_eq!(capacity(100, 64, 1000), 5 + 64 * 4);
        assert_eq!(capacity(100, 64, 20), 5 + 3 * 4);
        assert_eq!(capacity(100, 64, 3), 5 + 4);
    }
}
