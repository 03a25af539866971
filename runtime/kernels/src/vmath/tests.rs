//! Accuracy against f64, special values, and independence of place.

use super::*;

/// Distance in units of the last place of the exact value.
fn ulps(value: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if value.is_nan() || rounded.is_nan() {
        return if value.is_nan() && rounded.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if rounded.is_infinite() || value.is_infinite() {
        let (small, large) = (value.abs().min(rounded.abs()), value.abs().max(rounded.abs()));
        // Rounding to infinity may differ by one step at the end of the range.
        let neighbours = small == f32::MAX && large == f32::INFINITY && value.is_sign_negative() == rounded.is_sign_negative();
        return if value == rounded {
            0.0
        } else if neighbours {
            1.0
        } else {
            f64::INFINITY
        };
    }
    if rounded == 0.0 && value == 0.0 {
        return if value.is_sign_negative() == rounded.is_sign_negative() { 0.0 } else { f64::INFINITY };
    }
    let exponent = (exact.abs().log2().floor() as i32).clamp(-126, 127);
    (f64::from(value) - exact).abs() / 2f64.powi(exponent - 23)
}

/// The error function in f64: its series for small arguments, a continued fraction of erfc for large ones.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 2.5 {
        let (mut sum, mut term, mut n) = (a, a, 0.0);
        while term.abs() > 1e-18 * sum {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
            if term == 0.0 {
                break;
            }
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else if a < 6.0 {
        let mut fraction = 0.0;
        for k in (1..=80).rev() {
            fraction = f64::from(k) / 2.0 / (a + fraction);
        }
        1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * (a + fraction))
    } else {
        1.0
    };
    if x.is_nan() { x } else { value.copysign(x) }
}

fn exact(name: &str) -> fn(f64) -> f64 {
    match name {
        "exp" => f64::exp,
        "log" => f64::ln,
        "sqrt" => f64::sqrt,
        "rsqrt" => |x| 1.0 / x.sqrt(),
        "tanh" => f64::tanh,
        "erf" => erf,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "floor" => f64::floor,
        _ => f64::abs,
    }
}

/// Bound of the error in ulp.
fn bound(name: &str) -> f64 {
    match name {
        "sqrt" | "floor" | "abs" => 0.5,
        "exp" | "log" => 1.1,
        "erf" | "rsqrt" | "sin" | "cos" => 1.6,
        _ => 2.5,
    }
}

fn apply(tile: UnaryTile, src: &[f32]) -> Vec<f32> {
    let mut dst = vec![0.0; src.len()];
    // SAFETY: both are `src.len()` long.
    unsafe { tile(src.as_ptr(), dst.as_mut_ptr(), src.len()) };
    dst
}

/// Every `step`-th bit pattern of f32, and the special ones.
fn patterns(step: usize) -> Vec<f32> {
    let special = [0.0, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE, f32::MAX, 1.0, 1e-45, 1e5, 88.72284, 88.7229, 103.97, 104.0, 0.875];
    let dense = (0..=u32::MAX).step_by(step).map(f32::from_bits);
    special.into_iter().flat_map(|x| [x, -x]).chain(dense).collect()
}

fn check_accuracy(step: usize) {
    let src = patterns(step);
    for level in Level::available() {
        for name in UNARY {
            let tile = unary_at(level, name).unwrap_or_else(|| panic!("{name} is missing"));
            let function = exact(name);
            let (mut worst, mut at) = (0.0, 0.0);
            for (&x, &value) in src.iter().zip(&apply(tile, &src)) {
                let error = ulps(value, function(f64::from(x)));
                if error > worst {
                    (worst, at) = (error, x);
                }
            }
            println!("{level:?} {name}: {worst:.3} ulp at {at:e}");
            assert!(worst <= bound(name), "{level:?} {name}: {worst} ulp at {at:e}");
        }
    }
}

#[test]
fn unary_functions_are_accurate_over_the_whole_range() {
    check_accuracy(4001);
}

#[test]
#[ignore = "takes minutes: every 15th number of f32"]
fn unary_functions_are_accurate_densely() {
    check_accuracy(15);
}

#[test]
fn a_value_does_not_depend_on_place_or_length() {
    let src: Vec<f32> = patterns(20_000_003).into_iter().chain((0..300).map(|i| (i as f32 - 150.0) * 0.731)).collect();
    for level in Level::available() {
        for name in UNARY {
            let tile = unary_at(level, name).unwrap_or_else(|| panic!("{name} is missing"));
            let whole = apply(tile, &src);
            for start in 0..40 {
                for length in [0, 1, 2, 7, 8, 9, 15, 16, 17, 33, 100] {
                    let part = apply(tile, &src[start..start + length]);
                    let same = part.iter().zip(&whole[start..]).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{level:?} {name} from {start}, {length} long");
                }
            }
        }
    }
}

#[test]
fn pow_is_accurate_and_has_the_special_values() {
    let mut pairs = Vec::new();
    let special = [0.0f32, 0.5, 1.0, 2.0, 3.0, 1.5, 1e-40, 1e30, f32::MAX, f32::INFINITY, f32::NAN, 16777217.0, 0.999_999_94, 1.000_000_1];
    for x in special.iter().flat_map(|&x| [x, -x]) {
        pairs.extend(special.iter().flat_map(|&y| [y, -y]).map(|y| (x, y)));
    }
    let mut state = 1u64;
    for _ in 0..200_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let base = f32::from_bits((state >> 33) as u32);
        let y = ((state & 0xFFFF) as f32 / 65536.0 - 0.5) * if state & 0x10000 == 0 { 8.0 } else { 240.0 };
        pairs.push((base, y));
    }
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    for level in Level::available() {
        let tile = binary_at(level, "pow").unwrap_or_else(|| panic!("pow is missing"));
        let mut dst = vec![0.0; a.len()];
        // SAFETY: all three have the same length.
        unsafe { tile(a.as_ptr(), b.as_ptr(), dst.as_mut_ptr(), a.len()) };
        for (&(x, y), &value) in pairs.iter().zip(&dst) {
            let error = ulps(value, f64::from(x).powf(f64::from(y)));
            assert!(error <= 2.0, "{level:?} pow({x:e}, {y:e}) = {value:e}: {error} ulp");
        }
    }
}

#[test]
fn unknown_names_are_refused() {
    assert!(unary("sinh").is_none());
    assert!(binary("atan2").is_none());
}
