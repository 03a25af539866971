//! The parameter memory, cut into its parameters.

use mgx_diag::Diagnostic;
use mgx_ir::plan::ParamSpec;

/// The bytes of each parameter (of its precision, row-major) in the parameter memory, in the order of `params`. Bytes between them are left alone.
///
/// # Errors
/// `E0917`: the memory is smaller than the plan says, or parameters overlap. That is a fault of the plan, not of the user.
pub fn parameter_slices<'m>(params: &[ParamSpec], memory: &'m mut [u8]) -> Result<Vec<&'m mut [u8]>, Diagnostic> {
    let total = memory.len();
    let mut order: Vec<usize> = (0..params.len()).collect();
    order.sort_by_key(|index| (params[*index].offset, params[*index].elements()));
    let mut slices: Vec<Option<&mut [u8]>> = params.iter().map(|_| None).collect();
    let mut rest = memory;
    let mut position = 0u64;
    for index in order {
        let param = &params[index];
        let misplaced = || {
            let message = format!("the plan puts parameter `{}` at byte {} of {total}, where it does not fit", param.path, param.offset);
            Diagnostic::error("E0917", message).help("this is a fault of mgx: please report it with the program")
        };
        let gap = param.offset.checked_sub(position).and_then(|gap| usize::try_from(gap).ok()).ok_or_else(misplaced)?;
        let bytes = byte_count(param).and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(misplaced)?;
        let (_, after) = std::mem::take(&mut rest).split_at_mut_checked(gap).ok_or_else(misplaced)?;
        let (slice, after) = after.split_at_mut_checked(bytes).ok_or_else(misplaced)?;
        slices[index] = Some(slice);
        rest = after;
        position = param.offset + bytes as u64;
    }
    Ok(slices.into_iter().flatten().collect())
}

fn byte_count(param: &ParamSpec) -> Option<u64> {
    crate::tensor::checked_elements(&param.shape)?.checked_mul(param.precision.bytes())
}

#[cfg(test)]
mod tests {
    use mgx_ir::plan::{Init, Precision};

    use super::*;

    fn param(offset: u64, shape: &[u64]) -> ParamSpec {
        let axes = shape.iter().map(|_| "a".to_owned()).collect();
        let (path, key) = ("p".to_owned(), "p".to_owned());
        ParamSpec {
            path,
            axes,
            shape: shape.to_vec(),
            key,
            init: Init::Constant(0.0),
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

    #[test]
    fn slices_follow_the_order_of_the_parameters() {
        let mut memory = vec![0u8; 96];
        let slices = parameter_slices(&[param(64, &[2, 4]), param(0, &[3])], &mut memory).unwrap();
        assert_eq!(slices.iter().map(|slice| slice.len()).collect::<Vec<_>>(), [32, 12]);
        slices.into_iter().zip(1u8..).for_each(|(slice, value)| slice.fill(value));
        assert_eq!((memory[0], memory[12], memory[63], memory[64], memory[95]), (2, 0, 0, 1, 1));
    }

    #[test]
    fn overlaps_and_overruns_are_refused() {
        let mut memory = vec![0u8; 64];
        for params in [vec![param(0, &[4]), param(12, &[1])], vec![param(60, &[2])], vec![param(0, &[u64::MAX, 2])]] {
            assert_eq!(parameter_slices(&params, &mut memory).unwrap_err().code.0, "E0917");
        }
    }
}
