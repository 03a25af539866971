//! Initial values of parameters.
//!
//! Every value is a function of the seed, the parameter's path and the element's index, so it does not depend on threads, on the order of
//! the parameters or on what else the program has. The formulas here are fixed for good: changing one would change every run from scratch.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use half::bf16;
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Init, ParamSpec, Precision};
use mgx_ir::random::{derive, derive_name};
use mgx_weights::parameter_slices;

/// Elements that one thread fills at a time; even, because normal values come in pairs.
const PIECE: usize = 1 << 16;

/// Gives parameters their initial values, those that `wanted` says (the others have weights). `memory` is the parameter memory: each
/// parameter at its offset, in its precision; other bytes are left alone.
///
/// The key of a parameter is `derive_name(derive_name(seed, "init"), path)`; the 64 random bits of element `i` are `derive(key, i)`.
/// Normal and uniform values are computed in `f64` and rounded to `f32`; normal values use the system's `ln`, `sin` and `cos`, whose
/// last bit may differ between systems.
///
/// # Errors
/// `E0917`: the memory is not the plan's.
pub fn init(params: &[ParamSpec], seed: u64, wanted: &dyn Fn(&ParamSpec) -> bool, memory: &mut [u8]) -> Result<(), Diagnostic> {
    let root = derive_name(seed, "init");
    let mut pieces = Vec::new();
    for (param, slice) in params.iter().zip(parameter_slices(params, memory)?).filter(|(param, _)| wanted(param)) {
        let key = derive_name(root, &param.path);
        let starts = (0u64..).step_by(PIECE);
        let width = param.shape.last().copied().unwrap_or(1);
        let size = param.precision.bytes() as usize;
        let piece = |(bytes, start)| Piece { init: param.init, precision: param.precision, key, start, width, bytes };
        pieces.extend(slice.chunks_mut(size * PIECE).zip(starts).map(piece));
    }
    fill_all(pieces);
    Ok(())
}

/// Part of one parameter.
struct Piece<'m> {
    init: Init,
    precision: Precision,
    key: u64,
    /// Index of its first element in the parameter; even.
    start: u64,
    /// Extent of the parameter's last axis.
    width: u64,
    bytes: &'m mut [u8],
}

/// Fills the pieces on all processors.
fn fill_all(pieces: Vec<Piece<'_>>) {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(pieces.len());
    let queue = Mutex::new(pieces.into_iter());
    let work = || {
        // The lock is held for `next` alone, which leaves the queue whole whatever happens.
        while let Some(piece) = { queue.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            fill(piece);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

fn fill(piece: Piece<'_>) {
    let Piece { init, precision, key, start, width, bytes } = piece;
    if precision == Precision::Bf16 {
        let mut wide = vec![0; 2 * bytes.len()];
        fill(Piece { init, precision: Precision::F32, key, start, width, bytes: &mut wide });
        let (wide, (halves, _)) = (wide.as_chunks::<4>().0, bytes.as_chunks_mut::<2>());
        for (half, number) in halves.iter_mut().zip(wide) {
            *half = bf16::from_f32(f32::from_ne_bytes(*number)).to_ne_bytes();
        }
        return;
    }
    let (elements, _) = bytes.as_chunks_mut::<4>();
    match init {
        // Statistics are put in its place once the data is known.
        Init::Fitted { .. } => elements.fill(f32::NAN.to_ne_bytes()),
        Init::Constant(value) => elements.fill((value as f32).to_ne_bytes()),
        Init::Uniform { bound } => {
            for (element, index) in elements.iter_mut().zip(start..) {
                *element = ((bound * uniform(derive(key, index))) as f32).to_ne_bytes();
            }
        }
        Init::Identity { scale } => {
            for (element, index) in elements.iter_mut().zip(start..) {
                let on_diagonal = index / width == index % width;
                *element = (if on_diagonal { scale as f32 } else { 0.0 }).to_ne_bytes();
            }
        }
        Init::Normal { mean, std } => {
            for (pair, index) in elements.chunks_mut(2).zip((start..).step_by(2)) {
                let normals = normal_pair(derive(key, index), derive(key, index + 1));
                for (element, normal) in pair.iter_mut().zip(normals) {
                    *element = ((mean + std * normal) as f32).to_ne_bytes();
                }
            }
        }
    }
}

/// Uniform in [−1, 1) in steps of 2⁻²³, from the upper 24 bits. With finer steps the product with a bound could round up to the bound.
fn uniform(bits: u64) -> f64 {
    (bits >> 40) as f64 * (1.0 / 8_388_608.0) - 1.0
}

/// Two independent standard normal values from 128 random bits (Box and Muller 1958): with u in (0, 1] and v in [0, 1) of 53 bits each,
/// √(−2 ln u) · cos 2πv for the even element and √(−2 ln u) · sin 2πv for the odd one after it.
fn normal_pair(first: u64, second: u64) -> [f64; 2] {
    const STEP: f64 = 1.0 / 9_007_199_254_740_992.0;
    let u = ((first >> 11) + 1) as f64 * STEP;
    let v = (second >> 11) as f64 * STEP;
    let radius = (-2.0 * u.ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
    [radius * cos, radius * sin]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(path: &str, init: Init, elements: u64, offset: u64) -> ParamSpec {
        ParamSpec {
            path: path.to_owned(),
            axes: vec!["a".to_owned()],
            shape: vec![elements],
            key: path.to_owned(),
            init,
            trainable: true,
            state: false,
            precision: Precision::F32,
            offset,
            chosen: None,
            weights: None,
            adapter: None,
            from_epoch: 0,
        }
    }

    fn values(init_with: Init, elements: u64, path: &str, seed: u64) -> Vec<f32> {
        let mut memory = vec![0u8; 4 * elements as usize];
        init(&[param(path, init_with, elements, 0)], seed, &|_| true, &mut memory).unwrap();
        let (values, _) = memory.as_chunks::<4>();
        values.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
    }

    /// Mean, standard deviation and excess kurtosis.
    fn moments(values: &[f32]) -> (f64, f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let central = |power| values.iter().map(|value| (f64::from(*value) - mean).powi(power)).sum::<f64>() / count;
        (mean, central(2).sqrt(), central(4) / central(2).powi(2) - 3.0)
    }

    const NORMAL: Init = Init::Normal { mean: 0.0, std: 1.0 };

    /// These values are the specification; they were computed by another implementation of the formulas.
    #[test]
    fn first_values_are_fixed() {
        assert_eq!(values(NORMAL, 5, "encoder.weight", 42), FIRST_NORMAL);
        assert_eq!(values(Init::Uniform { bound: 1.0 }, 4, "encoder.weight", 42), FIRST_UNIFORM);
        assert_eq!(values(Init::Constant(0.5), 3, "encoder.weight", 42), [0.5; 3]);
    }

    const FIRST_NORMAL: [f32; 5] = [0.8588789, -0.2152845, 0.4108322, -0.9083012, -0.118088156];
    const FIRST_UNIFORM: [f32; 4] = [0.35139441, 0.92182386, 0.21683109, 0.6352091];

    #[test]
    fn normal_values_have_their_moments() {
        let (mean, std, kurtosis) = moments(&values(Init::Normal { mean: 3.0, std: 0.02 }, 300_001, "w", 7));
        assert!((mean - 3.0).abs() < 2e-4, "mean {mean}");
        assert!((std / 0.02 - 1.0).abs() < 0.01, "std {std}");
        assert!(kurtosis.abs() < 0.06, "excess kurtosis {kurtosis}");
        let normals = values(NORMAL, 300_000, "w", 8);
        let correlation = normals.as_chunks::<2>().0.iter().map(|[a, b]| f64::from(a * b)).sum::<f64>() / 150_000.0;
        assert!(correlation.abs() < 0.012, "the two of a pair: {correlation}");
        let beyond = normals.iter().filter(|value| value.abs() > 1.96).count() as f64 / 300_000.0;
        assert!((beyond - 0.05).abs() < 0.002, "{beyond} beyond 1.96 standard deviations");
    }

    #[test]
    fn uniform_values_stay_below_their_bound() {
        let bound = 0.1;
        let uniforms = values(Init::Uniform { bound }, 400_000, "w", 7);
        let (mean, std, _) = moments(&uniforms);
        assert!(mean.abs() < 4e-4, "mean {mean}");
        assert!((std / (bound / 3f64.sqrt()) - 1.0).abs() < 0.01, "std {std}");
        assert!(uniforms.iter().all(|value| (-0.1..0.1).contains(value)));
        for bound in [1.0, 0.1, 0.3, 1e-30, 7.7] {
            let (least, greatest) = (bound * uniform(0), bound * uniform(u64::MAX));
            assert!(least as f32 == -bound as f32 && (greatest as f32) < bound as f32, "{bound}");
        }
    }

    #[test]
    fn values_depend_on_seed_and_path_and_on_nothing_else() {
        let long = values(NORMAL, 3 * PIECE as u64 + 5, "w", 1);
        assert_eq!(long[..999], values(NORMAL, 999, "w", 1), "the length does not matter");
        assert_ne!(long[..9], values(NORMAL, 9, "w", 2));
        assert_ne!(long[..9], values(NORMAL, 9, "v", 1));
        let mut memory = vec![0xAA; 4 * 64];
        let params = [param("a", NORMAL, 5, 128), param("w", NORMAL, 9, 64), param("b", Init::Constant(1.0), 1, 0)];
        init(&params, 1, &|_| true, &mut memory).unwrap();
        let w: Vec<f32> = memory[64..100].as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
        assert_eq!(w, long[..9], "other parameters do not matter");
        assert!(memory[4..64].iter().chain(&memory[100..128]).all(|byte| *byte == 0xAA), "bytes between parameters are left alone");
    }

    #[test]
    fn a_memory_that_is_too_small_is_refused() {
        let error = init(&[param("w", NORMAL, 5, 0)], 1, &|_| true, &mut [0; 16]).unwrap_err();
        assert_eq!(error.code.0, "E0917");
    }
}
