//! The sum of rows by index: the gradient of an embedding.

use crate::parallel::{Shared, for_each};

/// Numbers below which the work is not worth waking another thread.
const SERIAL_WORK: usize = 1 << 15;
/// Columns of a task: whole cache lines, enough of them for the rows to be read as streams.
const TASK_COLUMNS: usize = 64;

/// `out[index[t], ..] += updates[t, ..]` for `t` in ascending order, so that the result is the same bits for any number of threads.
/// `updates` is `[index.len(), width]` and `out` is `[axis, width]`, both row-major. An index outside the axis is ignored.
/// Without `accumulate`, `out` is cleared first.
///
/// # Panics
/// If `updates` is not `index.len() * width` long, or `out` is no whole number of rows.
pub fn scatter_add(index: &[i32], updates: &[f32], width: usize, out: &mut [f32], accumulate: bool) {
    assert_eq!(updates.len(), index.len() * width, "updates are not [{}, {width}]", index.len());
    if !accumulate {
        out.fill(0.0);
    }
    if width == 0 {
        return;
    }
    assert_eq!(out.len() % width, 0, "out is no whole number of rows of {width}");
    let rows = out.len() / width;
    let shared = Shared::new(out);
    let task_columns = if updates.len() < SERIAL_WORK { width } else { TASK_COLUMNS };
    for_each(width.div_ceil(task_columns), true, |task| {
        let columns = task * task_columns..width.min((task + 1) * task_columns);
        for (&row, update) in index.iter().zip(updates.chunks_exact(width)) {
            let Some(row) = usize::try_from(row).ok().filter(|&row| row < rows) else { continue };
            // SAFETY: inside `out`, and no other task has these columns.
            let sum = unsafe { std::slice::from_raw_parts_mut(shared.pointer().add(row * width + columns.start), columns.len()) };
            for (sum, &number) in sum.iter_mut().zip(&update[columns.clone()]) {
                *sum += number;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::scatter_add;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
    }

    #[test]
    fn sums_in_the_order_of_tokens() {
        let (tokens, width, axis) = (3000, 100, 7);
        let index: Vec<i32> = (0..tokens).map(|t| (t * 31 % 9) as i32 - 1).collect();
        let updates: Vec<f32> = (0..tokens * width).map(|i| ((i * 2654435761) % 1000) as f32 * 1e-3 - 0.3).collect();
        for accumulate in [false, true] {
            let start: Vec<f32> = (0..axis * width).map(|i| i as f32).collect();
            let mut expected = if accumulate { start.clone() } else { vec![0.0; axis * width] };
            for (t, &row) in index.iter().enumerate().filter(|&(_, &row)| (0..axis as i32).contains(&row)) {
                for column in 0..width {
                    expected[row as usize * width + column] += updates[t * width + column];
                }
            }
            for threads in [1, 2] {
                let mut out = start.clone();
                pool(threads).install(|| scatter_add(&index, &updates, width, &mut out, accumulate));
                assert_eq!(out, expected, "{threads} threads, accumulate {accumulate}");
            }
        }
    }

    #[test]
    fn nothing_to_add_clears() {
        let mut out = vec![1.0; 6];
        scatter_add(&[], &[], 3, &mut out, false);
        assert_eq!(out, [0.0; 6]);
        scatter_add(&[0, 1], &[], 0, &mut [], false);
    }
}
