//! The cells nearest to each cell of a table.

use std::num::NonZero;

/// For each cell its nearest others, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Neighbors {
    x: Vec<f64>,
    y: Vec<f64>,
    nearest: Vec<u32>,
    /// Neighbours of a cell.
    count: usize,
}

impl Neighbors {
    /// As many neighbours as are asked for, or all other cells where there are fewer; of equally near ones the first in the table.
    pub fn new(x: &[f64], y: &[f64], count: u64) -> Self {
        let rows = x.len();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(rows.saturating_sub(1));
        let nearest = |row: usize| {
            let distance = |other: usize| (x[other] - x[row]).powi(2) + (y[other] - y[row]).powi(2);
            let mut others: Vec<(f64, usize)> = (0..rows).filter(|other| *other != row).map(|other| (distance(other), other)).collect();
            let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            if count > 0 && count < others.len() {
                others.select_nth_unstable_by(count - 1, order);
                others.truncate(count);
            }
            others.sort_by(order);
            others.into_iter().take(count).map(|(_, other)| other as u32).collect::<Vec<u32>>()
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let size = rows.div_ceil(threads).max(1);
        let part = |first: usize| (first..(first + size).min(rows)).flat_map(nearest).collect::<Vec<u32>>();
        let part = &part;
        let nearest = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..rows).step_by(size).map(|first| scope.spawn(move || part(first))).collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        Self { x: x.to_vec(), y: y.to_vec(), nearest, count }
    }

    pub fn of(&self, row: usize) -> &[u32] {
        &self.nearest[row * self.count..(row + 1) * self.count]
    }

    pub fn coordinates(&self, row: usize) -> (f64, f64) {
        (self.x[row], self.y[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first() {
        let neighbors = Neighbors::new(&[0.0, 5.0, 1.0, -1.0], &[0.0; 4], 2);
        assert_eq!(neighbors.of(0), [2, 3], "of equally near cells the first in the table");
        assert_eq!(neighbors.of(1), [2, 0]);
        assert_eq!(Neighbors::new(&[0.0, 5.0], &[0.0; 2], 9).of(0), [1]);
        assert_eq!(Neighbors::new(&[0.0], &[0.0], 9).of(0), [] as [u32; 0]);
    }
}
