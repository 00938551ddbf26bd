//! Offsets for buffers, so that no two overlap that are live at one point.
//!
//! The greedy strategy is that of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020):
//! buffers are placed one after another, each in a gap that those leave with which it is live together. It depends on the
//! order: theirs are by size and by breadth (the points with most live bytes first), to which come bytes times length, and
//! the order of the program. Each is tried with the lowest gap and with the smallest one that is large enough. Where none
//! takes as little as must be, those that came to lie highest choose first, a few times. The best plan is kept.

use super::Strategy;
use super::lifetimes::Interval;
use std::cmp::Reverse;
use std::collections::BTreeMap;

pub(super) struct Block {
    /// A multiple of the alignment.
    pub bytes: usize,
    pub lifetime: Vec<Interval>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Allocation {
    /// By block.
    pub offsets: Vec<usize>,
    pub total: usize,
}

/// How often a plan that is not the least possible is tried again.
const ROUNDS: usize = 24;

/// For each block, those that are live together with it.
type Neighbours = Vec<Vec<usize>>;

/// Where a block is put among its neighbours.
#[derive(Clone, Copy)]
enum Fit {
    /// On top of all of them.
    Top,
    /// In the lowest gap.
    First,
    /// In the smallest gap.
    Best,
}

pub(super) fn allocate(blocks: &[Block], strategy: Strategy) -> Allocation {
    match strategy {
        Strategy::None => each_its_own(blocks),
        Strategy::Linear => in_order(blocks, &neighbours(blocks), &by_begin(blocks), Fit::Top),
        Strategy::Greedy => greedy(blocks),
    }
}

/// The point with most live bytes, and how many there are: no allocation takes less.
pub(super) fn peak(blocks: &[Block]) -> (Option<u32>, usize) {
    let (mut at, mut most) = (None, 0);
    for (point, live) in breadths(blocks) {
        if live > most {
            (at, most) = (Some(point), live);
        }
    }
    (at, most)
}

/// The points at which blocks become live or cease to be, in order, with the bytes that are live from there on.
fn breadths(blocks: &[Block]) -> Vec<(u32, usize)> {
    let mut changes: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for block in blocks {
        for (first, last) in &block.lifetime {
            let born = &mut changes.entry(*first).or_default().0;
            *born = born.saturating_add(block.bytes);
            let dead = &mut changes.entry(last + 1).or_default().1;
            *dead = dead.saturating_add(block.bytes);
        }
    }
    let mut live = 0usize;
    let step = |(point, (born, dead)): (u32, (usize, usize))| {
        live = live.saturating_sub(dead).saturating_add(born);
        (point, live)
    };
    changes.into_iter().map(step).collect()
}

fn each_its_own(blocks: &[Block]) -> Allocation {
    let mut total = 0usize;
    let mut next = |block: &Block| {
        let offset = total;
        total = total.saturating_add(block.bytes);
        offset
    };
    let offsets = blocks.iter().map(&mut next).collect();
    Allocation { offsets, total }
}

fn neighbours(blocks: &[Block]) -> Neighbours {
    let mut begins: Vec<(u32, u32, usize)> = vec![];
    for (index, block) in blocks.iter().enumerate() {
        begins.extend(block.lifetime.iter().map(|(first, last)| (*first, *last, index)));
    }
    begins.sort_unstable();
    let mut found: Neighbours = vec![vec![]; blocks.len()];
    let mut live: Vec<(u32, usize)> = vec![];
    for (first, last, index) in begins {
        live.retain(|(end, _)| *end >= first);
        for (_, other) in &live {
            found[index].push(*other);
            found[*other].push(index);
        }
        live.push((last, index));
    }
    found.iter_mut().for_each(|list| {
        list.sort_unstable();
        list.dedup();
    });
    found
}

/// Places blocks one after another.
fn in_order(blocks: &[Block], neighbours: &Neighbours, order: &[usize], fit: Fit) -> Allocation {
    let mut offsets: Vec<Option<usize>> = vec![None; blocks.len()];
    let mut total = 0;
    let mut around: Vec<(usize, usize)> = vec![];
    for index in order {
        around.clear();
        let placed =
            |other: &usize| offsets[*other].map(|offset| (offset, offset.saturating_add(blocks[*other].bytes)));
        around.extend(neighbours[*index].iter().filter_map(placed));
        around.sort_unstable();
        let bytes = blocks[*index].bytes;
        let offset = gap(&around, bytes, fit);
        offsets[*index] = Some(offset);
        total = total.max(offset.saturating_add(bytes));
    }
    Allocation { offsets: offsets.into_iter().map(Option::unwrap_or_default).collect(), total }
}

/// Where so many bytes fit among ranges that are in order.
fn gap(around: &[(usize, usize)], bytes: usize, fit: Fit) -> usize {
    let mut top = 0usize;
    let mut best: Option<(usize, usize)> = None;
    for (first, last) in around {
        let room = first.saturating_sub(top);
        let is_better = match fit {
            Fit::Top => false,
            Fit::First => best.is_none(),
            Fit::Best => best.is_none_or(|(smallest, _)| room < smallest),
        };
        if room >= bytes && *first > top && is_better {
            best = Some((room, top));
        }
        top = top.max(*last);
    }
    best.map_or(top, |(_, offset)| offset)
}

fn greedy(blocks: &[Block]) -> Allocation {
    let (_, least) = peak(blocks);
    let neighbours = neighbours(blocks);
    let mut tried: Vec<(Allocation, Vec<usize>, Fit)> = vec![];
    for order in [by_size(blocks), by_breadth(blocks), by_area(blocks), by_begin(blocks)] {
        for fit in [Fit::Best, Fit::First] {
            let found = in_order(blocks, &neighbours, &order, fit);
            if found.total <= least {
                return found;
            }
            tried.push((found, order.clone(), fit));
        }
    }
    let improved = tried.into_iter().map(|(found, order, fit)| improved(blocks, &neighbours, found, order, fit, least));
    improved.min_by_key(|found| found.total).unwrap_or_default()
}

/// Lets those that lie highest choose first, again and again.
fn improved(
    blocks: &[Block],
    neighbours: &Neighbours,
    first: Allocation,
    mut order: Vec<usize>,
    fit: Fit,
    least: usize,
) -> Allocation {
    let mut best = first.clone();
    let mut found = first;
    for _ in 0..ROUNDS {
        if best.total <= least {
            break;
        }
        let is_highest = |index: &usize| found.offsets[*index].saturating_add(blocks[*index].bytes) == found.total;
        // Stable: all others stay in their order.
        order.sort_by_key(|index| !is_highest(index));
        found = in_order(blocks, neighbours, &order, fit);
        if found.total < best.total {
            best = found.clone();
        }
    }
    best
}

fn begin(block: &Block) -> u32 {
    block.lifetime.first().map_or(0, |(first, _)| *first)
}

fn length(block: &Block) -> u32 {
    block.lifetime.iter().map(|(first, last)| last - first + 1).sum()
}

fn sorted<K: Ord>(blocks: &[Block], key: impl Fn(&Block) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|index| key(&blocks[*index]));
    order
}

/// In the order of the program.
fn by_begin(blocks: &[Block]) -> Vec<usize> {
    sorted(blocks, |block| (begin(block), Reverse(block.bytes)))
}

fn by_size(blocks: &[Block]) -> Vec<usize> {
    sorted(blocks, |block| (Reverse(block.bytes), Reverse(length(block)), begin(block)))
}

fn by_area(blocks: &[Block]) -> Vec<usize> {
    sorted(blocks, |block| (Reverse(block.bytes as u128 * u128::from(length(block))), begin(block)))
}

/// Those that are live at the point with most live bytes, the largest first; then those at the next such point.
fn by_breadth(blocks: &[Block]) -> Vec<usize> {
    let mut points = breadths(blocks);
    points.sort_by_key(|(point, live)| (Reverse(*live), *point));
    let by_size = by_size(blocks);
    let rank: BTreeMap<u32, usize> = points.iter().enumerate().map(|(rank, (point, _))| (*point, rank)).collect();
    let first = |index: usize| {
        let live = blocks[index].lifetime.iter().flat_map(|(first, last)| rank.range(*first..=*last));
        live.map(|(_, rank)| *rank).min().unwrap_or(usize::MAX)
    };
    let mut order: Vec<(usize, usize)> = by_size.into_iter().map(|index| (first(index), index)).collect();
    // Stable: of one point, by size.
    order.sort_by_key(|(rank, _)| *rank);
    order.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(all: &[(usize, u32, u32)]) -> Vec<Block> {
        all.iter().map(|(bytes, first, last)| Block { bytes: *bytes, lifetime: vec![(*first, *last)] }).collect()
    }

    fn totals(blocks: &[Block]) -> [usize; 3] {
        Strategy::ALL.map(|strategy| allocate(blocks, strategy).total)
    }

    #[test]
    fn gaps_are_filled_by_the_greedy_strategy() {
        // The first is gone when the third comes, and the second lies above it.
        let blocks = blocks(&[(128, 0, 1), (64, 0, 5), (128, 2, 5)]);
        assert_eq!(totals(&blocks), [320, 320, 192]);
        assert_eq!(peak(&blocks), (Some(0), 192));
    }

    #[test]
    fn the_smallest_gap_that_is_large_enough_fits_best() {
        let around = [(0, 64), (192, 256), (320, 384)];
        assert_eq!(gap(&around, 64, Fit::First), 64);
        assert_eq!(gap(&around, 64, Fit::Best), 256);
        assert_eq!(gap(&around, 64, Fit::Top), 384);
        assert_eq!(gap(&around, 192, Fit::Best), 384);
        assert_eq!(gap(&[(64, 128)], 64, Fit::First), 0);
        // One may lie within another.
        assert_eq!(gap(&[(0, 256), (64, 128), (320, 384)], 64, Fit::First), 256);
    }

    #[test]
    fn lifetimes_with_holes_share() {
        let mut blocks = blocks(&[(64, 0, 1), (64, 3, 4)]);
        blocks[0].lifetime.push((6, 7));
        blocks.push(Block { bytes: 64, lifetime: vec![(2, 2), (5, 5)] });
        assert_eq!(totals(&blocks), [192, 64, 64]);
    }

    #[test]
    fn nothing_needs_nothing() {
        assert_eq!(totals(&[]), [0; 3]);
        assert_eq!(peak(&[]), (None, 0));
    }
}
