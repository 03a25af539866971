//! Times of the kernels on shapes of real models, each the best of several runs:
//! `cargo run --release -p mgx-kernels --example speed -- [matmul]` (2 threads unless `RAYON_NUM_THREADS` says otherwise).

use std::time::Instant;

use mgx_kernels::matmul::{Product, Strides, matmul};

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
    let shapes = [(4096, 320, 1280), (4096, 1280, 320), (4096, 320, 320), (512, 320, 1280), (64, 320, 1280), (256, 320, 320), (8, 320, 1280)];
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
                p.m, p.n, p.k, out.as_mut_ptr(), o.0, o.1, false, lhs.as_ptr(), l.0, l.1, rhs.as_ptr(), r.1, r.0, 0.0, 1.0, false, false,
                false, parallelism,
            );
        }
    });
    let gflops = 2e-6 * (p.m * p.n * p.k) as f64 / ours;
    println!("{name}: {ours:.3} ms, {gflops:.0} GFLOP/s, gemm crate {theirs:.3} ms, {:.2} of its speed", theirs / ours);
}

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("matmul") {
        products();
    }
}
