//! Times of the kernels on shapes of real models, each the best of several runs:
//! `cargo run --release -p mgx-kernels --example speed -- [matmul | convolution | attention | long | vmath]` (2 threads unless `RAYON_NUM_THREADS` says otherwise).

use std::time::Instant;

use mgx_kernels::attention::{Attention, Gradients, Sample, Saved, backward, forward};
use mgx_kernels::matmul::{Product, Segment, Strides, Windows, convolve, convolve_kernel, matmul};
use mgx_kernels::vmath;

/// Milliseconds of the fastest of `runs` calls.
fn best(runs: usize, mut work: impl FnMut()) -> f64 {
    work();
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..runs).map(|_| time(&mut work)).fold(f64::INFINITY, f64::min)
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 2654435761) % 2001) as f32 * 1e-3 - 1.0).collect()
}

fn products() {
    let shapes =
        [(4096, 320, 1280), (4096, 1280, 320), (4096, 320, 320), (512, 320, 1280), (64, 320, 1280), (256, 320, 320), (8, 320, 1280)];
    for (m, k, n) in shapes {
        let linear = Product::linear(m, n, k);
        compare(&format!("linear   m {m} k {k} n {n}"), &linear);
        compare(&format!("gradient m {m} k {k} n {n}"), &Product { rhs: Strides::column_major(n), ..linear });
    }
    for (m, n, k) in [(1280, 320, 4096), (320, 320, 4096), (320, 1280, 4096)] {
        let sum = Product { lhs: Strides::column_major(m), rhs: Strides::column_major(n), ..Product::linear(m, n, k) };
        compare(&format!("weight   m {m} k {k} n {n}"), &sum);
    }
}

fn compare(name: &str, p: &Product) {
    let (lhs, rhs, mut out) = (numbers(p.m * p.k), numbers(p.n * p.k), vec![0.0; p.m * p.n]);
    let ours = best(15, || matmul(p, &lhs, &rhs, &mut out));
    let threads = rayon::current_num_threads();
    let theirs = best(15, || {
        let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
        let [l, r, o] = [p.lhs, p.rhs, p.out].map(|s| (s.column as isize, s.row as isize));
        // SAFETY: the shapes are those of the slices.
        unsafe {
            gemm::gemm(
                p.m,
                p.n,
                p.k,
                out.as_mut_ptr(),
                o.0,
                o.1,
                false,
                lhs.as_ptr(),
                l.0,
                l.1,
                rhs.as_ptr(),
                r.1,
                r.0,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    });
    let gflops = 2e-6 * (p.m * p.n * p.k) as f64 / ours;
    println!("{name}: {ours:.3} ms, {gflops:.0} GFLOP/s, gemm crate {theirs:.3} ms, {:.2} of its speed", theirs / ours);
}

/// Self-attention of samples of these lengths.
fn attend(lengths: &[usize], heads: usize, dim: usize) {
    let mut tokens = 0;
    let sample = |&length: &usize| {
        tokens += length;
        Sample { queries: tokens - length..tokens, keys: tokens - length..tokens }
    };
    let samples: Vec<Sample> = lengths.iter().map(sample).collect();
    let attention = Attention { heads, dim, value: dim, scale: 1.0 / (dim as f32).sqrt(), samples: &samples };
    let count = tokens * heads * dim;
    let (q, k, v, dout) = (numbers(count), numbers(count + 1), numbers(count + 2), numbers(count + 3));
    let (mut out, mut lse) = (vec![0.0; count], vec![0.0; tokens * heads]);
    let runs = if tokens > 10_000 { 2 } else { 15 };
    let there = best(runs, || forward(&attention, &q, &k, &v, &mut out, Some(&mut lse)));
    let [mut dq, mut dk, mut dv] = [0.0; 3].map(|zero| vec![zero; count + 2]);
    let saved = Saved { q: &q, k: &k, v: &v, out: &out, lse: &lse, dout: &dout };
    let back = best(runs, || {
        backward(&attention, &saved, Gradients { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv) });
    });
    println!(
        "attention {} x {} tokens, {heads} heads x {dim}: forward {there:.3} ms, backward {back:.3} ms",
        lengths.len(),
        tokens / lengths.len()
    );
}

/// Lengths of real proteins, from short to the longest that ESM-2 takes.
const PROTEINS: [usize; 16] = [30, 58, 91, 120, 144, 173, 201, 238, 262, 301, 350, 402, 466, 571, 730, 1022];

fn attentions() {
    for (heads, dim) in [(20, 16), (5, 64), (10, 136), (20, 12)] {
        attend(&[512; 8], heads, dim);
        attend(&PROTEINS, heads, dim);
    }
}

/// All genes of a cell, as AIDO.Cell reads them.
fn long_attention() {
    attend(&[19_266], 2, 32);
}

/// Convolutions of Enformer's widths, against the product of as many multiply-adds.
fn convolutions() {
    for (positions, channels, taps, n) in [(32768, 4, 15, 768), (8192, 768, 5, 768), (8192, 896, 5, 1024), (32768, 768, 1, 768)] {
        let k = taps * channels;
        let (x, kernel, mut out) = (numbers(positions * channels), numbers(n * k), vec![0.0; positions * n]);
        let segments = [Segment { positions: 0..positions, rows: 0..positions }];
        let windows = Windows { taps, stride: 1, dilation: 1, before: taps / 2, fill: 0.0, segments: &segments };
        let linear = Product::linear(positions, n, k);
        let forward = Product { lhs: Strides::row_major(channels), ..linear };
        let ours = best(3, || convolve(&forward, &windows, &x, &kernel, &mut out));
        let transposed =
            Product { m: n, n: k, k: positions, lhs: Strides::column_major(n), rhs: forward.lhs, out: Strides::row_major(k), ..forward };
        let mut gradient = vec![0.0; n * k];
        let backward = best(3, || convolve_kernel(&transposed, &windows, &out, &x, &mut gradient));
        let unrolled = numbers(positions * k);
        let product = best(3, || matmul(&linear, &unrolled, &kernel, &mut out));
        let rate = (2 * positions * k * n) as f64 / 1e6;
        println!(
            "{positions} positions, {channels} -> {n}, {taps} taps: forward {:.0} GFLOP/s, kernel's gradient {:.0}, product {:.0}",
            rate / ours,
            rate / backward,
            rate / product
        );
    }
}

/// Tiles of 256 numbers that stay in the first cache.
fn functions() {
    let src: Vec<f32> = (0..256).map(|i| 0.01 + i as f32 * 0.02).collect();
    let mut dst = vec![0.0; 256];
    for name in vmath::UNARY {
        let Some(tile) = vmath::unary(name) else { continue };
        // SAFETY: both have 256 numbers.
        let time = best(20, || (0..10_000).for_each(|_| unsafe { tile(src.as_ptr(), dst.as_mut_ptr(), 256) }));
        println!("{name}: {:.2} numbers per nanosecond", 2.56 / time);
    }
    let Some(tile) = vmath::binary("pow") else { return };
    // SAFETY: all have 256 numbers.
    let time = best(20, || (0..10_000).for_each(|_| unsafe { tile(src.as_ptr(), src.as_ptr(), dst.as_mut_ptr(), 256) }));
    println!("pow: {:.2} numbers per nanosecond", 2.56 / time);
}

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("matmul") {
        products();
    }
    if wanted("convolution") {
        convolutions();
    }
    if wanted("long") {
        long_attention();
    }
    if wanted("attention") {
        attentions();
    }
    if wanted("vmath") {
        functions();
    }
}
