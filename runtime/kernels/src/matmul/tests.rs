//! Products against f64 loops, and rows that have the same bits in any company.

use proptest::prelude::*;

use super::*;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E3779B97F4A7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
}

/// Strides of a dense `rows × columns` matrix in one of four layouts.
fn layout(kind: usize, rows: usize, columns: usize) -> Strides {
    match kind {
        0 => Strides::row_major(columns),
        1 => Strides::column_major(rows),
        2 => Strides::row_major(columns + 5),
        _ => Strides { row: 2 * columns.max(1) + 1, column: 2 },
    }
}

fn product(m: usize, n: usize, k: usize, kinds: [usize; 3], accumulate: bool) -> Product {
    Product { m, n, k, lhs: layout(kinds[0], m, k), rhs: layout(kinds[1], n, k), out: layout(kinds[2], m, n), accumulate }
}

fn operands(p: &Product) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    (random(p.lhs.reach(p.m, p.k), 1), random(p.rhs.reach(p.n, p.k), 2), random(p.out.reach(p.m, p.n), 3))
}

fn check(level: Level, p: &Product) {
    let (lhs, rhs, start) = operands(p);
    let mut out = start.clone();
    matmul_at(level, p, &lhs, &rhs, &mut out);
    let mut expected: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
    for i in 0..p.m {
        for j in 0..p.n {
            let at = i * p.out.row + j * p.out.column;
            let sum: f64 =
                (0..p.k).map(|k| f64::from(lhs[i * p.lhs.row + k * p.lhs.column]) * f64::from(rhs[j * p.rhs.row + k * p.rhs.column])).sum();
            expected[at] = if p.accumulate { expected[at] + sum } else { sum };
        }
    }
    let bound = 3e-7 * (1.0 + p.k as f64);
    for (at, (&value, &expected)) in out.iter().zip(&expected).enumerate() {
        assert!((f64::from(value) - expected).abs() <= bound, "{level:?} {p:?} at {at}: {value} for {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_f64(m in 0usize..70, n in 0usize..120, k in 0usize..60, kinds in [0usize..4, 0usize..4, 0usize..4], accumulate: bool) {
        for level in Level::available() {
            check(level, &product(m, n, k, kinds, accumulate));
        }
    }
}

/// Segments of these lengths, each with as many windows as it has starts of windows.
fn segments(lengths: &[usize], stride: usize) -> Vec<Segment> {
    let (mut position, mut row) = (0, 0);
    let mut all = Vec::new();
    for length in lengths {
        let windows = length.div_ceil(stride);
        all.push(Segment { positions: position..position + length, rows: row..row + windows });
        (position, row) = (position + length, row + windows);
    }
    all
}

/// The windows of a matrix, as a matrix.
fn unrolled(windows: &Windows<'_>, x: &[f32], strides: Strides, channels: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for segment in windows.segments {
        for row in 0..segment.rows.len() {
            for (tap, channel) in (0..windows.taps).flat_map(|tap| (0..channels).map(move |channel| (tap, channel))) {
                let position = (row * windows.stride + tap * windows.dilation).checked_sub(windows.before);
                let position = position.filter(|position| *position < segment.positions.len());
                let at = |position| (segment.positions.start + position) * strides.row + channel * strides.column;
                all.push(position.map_or(windows.fill, |position| x[at(position)]));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn windows_need_not_be_unrolled(
        lengths in prop::collection::vec(0usize..30, 0..4), channels in 0usize..90, taps in 0usize..6, stride in 1usize..4,
        dilation in 0usize..4, before in 0usize..12, n in 0usize..60, x_kind in 0usize..4, out_kind in 0usize..4, accumulate: bool,
    ) {
        let segments = segments(&lengths, stride);
        let windows = Windows { taps, stride, dilation, before, fill: 0.25, segments: &segments };
        let positions = lengths.iter().sum();
        let (m, k) = (segments.last().map_or(0, |segment| segment.rows.end), taps * channels);
        let p = Product { lhs: layout(x_kind, positions, channels), ..product(m, n, k, [0, 0, out_kind], accumulate) };
        let x = random(p.lhs.reach(positions, channels), 6);
        let (_, rhs, start) = operands(&p);
        let lhs = unrolled(&windows, &x, p.lhs, channels);
        for level in Level::available() {
            let (mut out, mut expected) = (start.clone(), start.clone());
            windows::convolve_at(level, &p, &windows, &x, &rhs, &mut out);
            let plain = Product { lhs: Strides::row_major(k), ..p };
            run(level, &plain, Operand::Matrix(&lhs), Operand::Matrix(&rhs), &mut expected);
            let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same(&out, &expected), "{:?} {:?} {:?}", level, p, windows);
            // The windows as the right operand, summed over the windows.
            let rows = Product { m: n, n: k, k: m, lhs: layout(x_kind, n, m), out: layout(out_kind, n, k), ..p };
            let (lhs, _, start) = operands(&rows);
            let (mut out, mut expected) = (start.clone(), start);
            windows::convolve_kernel_at(level, &Product { rhs: p.lhs, ..rows }, &windows, &lhs, &x, &mut out);
            let unrolled = unrolled(&windows, &x, p.lhs, channels);
            run(level, &Product { rhs: Strides::column_major(k), ..rows }, Operand::Matrix(&lhs), Operand::Matrix(&unrolled), &mut expected);
            prop_assert!(same(&out, &expected), "{:?} {:?} {:?}", level, rows, windows);
        }
    }
}

#[test]
fn agrees_with_f64_over_several_chunks_and_passes() {
    for level in Level::available() {
        for kinds in [[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 3]] {
            for accumulate in [false, true] {
                check(level, &product(13, 49, 1000, kinds, accumulate));
                check(level, &product(2, 5000, 1300, kinds, accumulate));
            }
        }
    }
}

/// The bits of row `i` of `p.m` rows.
fn row(p: &Product, out: &[f32], i: usize) -> Vec<u32> {
    (0..p.n).map(|j| out[i * p.out.row + j * p.out.column].to_bits()).collect()
}

#[test]
fn a_row_has_the_same_bits_in_any_company() {
    for (n, k) in [(1, 320), (3, 7), (2, 1), (20, 2), (33, 320), (64, 1280), (320, 320), (1280, 320), (17, 900)] {
        for kinds in [[0, 0, 0], [0, 1, 0], [1, 0, 0], [2, 3, 1], [0, 0, 1], [3, 0, 3]] {
            let rows = 150;
            let whole = product(rows, n, k, kinds, false);
            let (lhs, rhs, mut out) = operands(&whole);
            pool(1).install(|| matmul(&whole, &lhs, &rhs, &mut out));
            for (first, m) in [(0, 1), (77, 1), (149, 1), (3, 2), (10, 7), (64, 8), (50, 100)] {
                // The same rows of lhs in a product of their own, of another layout of the result.
                let part = Product { m, out: Strides::row_major(n + 3), ..whole };
                for threads in [1, 2, 5] {
                    let mut part_out = vec![0.0; m * (n + 3)];
                    pool(threads).install(|| matmul(&part, &lhs[first * whole.lhs.row..], &rhs, &mut part_out));
                    for i in 0..m {
                        assert_eq!(
                            row(&part, &part_out, i),
                            row(&whole, &out, first + i),
                            "row {i} of {part:?} from {first}, {threads} threads"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn thread_counts_do_not_matter_in_sums_over_tokens() {
    let p = product(130, 70, 5000, [1, 1, 0], true);
    let (lhs, rhs, start) = operands(&p);
    let run = |threads| {
        let mut out = start.clone();
        pool(threads).install(|| matmul(&p, &lhs, &rhs, &mut out));
        out
    };
    let one = run(1);
    for threads in [2, 3] {
        assert!(run(threads).iter().zip(&one).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
    }
}

#[test]
fn nothing_is_multiplied() {
    for (m, n, k) in [(0, 3, 4), (2, 0, 4), (2, 3, 0)] {
        let p = Product::linear(m, n, k);
        let mut out = vec![1.0; m * n];
        matmul(&p, &vec![1.0; m * k], &vec![1.0; n * k], &mut out);
        assert_eq!(out, vec![0.0; m * n]);
    }
}

#[test]
fn groups_are_independent_products() {
    // Heads in the middle: [m, groups, k] · [n, groups, k] -> [m, groups, n].
    let (groups, m, n, k) = (5, 9, 20, 12);
    let p = Product {
        m,
        n,
        k,
        lhs: Strides::row_major(groups * k),
        rhs: Strides::row_major(groups * k),
        out: Strides::row_major(groups * n),
        accumulate: false,
    };
    let (lhs, rhs) = (random(m * groups * k, 4), random(n * groups * k, 5));
    let mut out = vec![0.0; m * groups * n];
    matmul_groups(&p, groups, [k, k, n], &lhs, &rhs, &mut out);
    for g in 0..groups {
        let mut expected = vec![0.0; m * groups * n];
        matmul(&p, &lhs[g * k..], &rhs[g * k..], &mut expected);
        for i in 0..m {
            assert_eq!(out[i * groups * n + g * n..][..n], expected[i * groups * n..][..n]);
        }
    }
}

#[test]
#[should_panic(expected = "lhs is too short")]
fn short_operands_are_refused() {
    matmul(&Product::linear(2, 2, 2), &[0.0; 3], &[0.0; 4], &mut [0.0; 4]);
}

/// A product with a right operand of halves has the bits of the product with the widened operand, whatever the layout and the size of its blocks.
#[test]
fn halves_give_the_bits_of_the_widened_operand() {
    for (m, n, k) in [(1, 1, 1), (3, 200, 5000), (17, 500, 6001), (40, 7, 0), (5, 6000, 40), (2, 3, 4)] {
        for kinds in [[0, 0, 0], [0, 1, 0], [1, 2, 1], [2, 3, 0], [0, 1, 1]] {
            let p = product(m, n, k, kinds, m % 2 == 1);
            let (lhs, rhs, start) = operands(&p);
            let halves: Vec<u16> = rhs.iter().map(|number| (number.to_bits() >> 16) as u16).collect();
            let wide: Vec<f32> = halves.iter().map(|half| widen(*half)).collect();
            let (mut expected, mut found) = (start.clone(), start);
            matmul(&p, &lhs, &wide, &mut expected);
            matmul_bf16(&p, &lhs, &halves, &mut found);
            assert!(expected.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "{p:?}");
        }
    }
}
