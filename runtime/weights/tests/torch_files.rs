//! Files that PyTorch wrote are read to the last bit.

mod common;

use common::{fixture, tensor};
use mgx_weights::{Checkpoint, Dtype};

/// The values in `make_fixtures.py`, worked out by hand.
fn check_mixed(checkpoint: &Checkpoint) {
    let expected: &[(&str, &[u64], &[f32])] = &[
        (
            "transposed",
            &[6, 4],
            &[0., 6., 12., 18., 1., 7., 13., 19., 2., 8., 14., 20., 3., 9., 15., 21., 4., 10., 16., 22., 5., 11., 17., 23.],
        ),
        ("slice", &[2, 3], &[6., 8., 10., 12., 14., 16.]),
        ("expanded", &[2, 3], &[1.5, 1.5, 1.5, -2.5, -2.5, -2.5]),
        ("half", &[2, 2], &[0.5, -1.25, 65504.0, 0.25]),
        ("bfloat16", &[3], &[1.0, -3.140_625, f32::from_bits(0x714A_0000)]),
        ("double", &[2], &[1.0, 1e-3]),
        ("counter", &[], &[7.0]),
        ("mask", &[3], &[1.0, 0.0, 1.0]),
        ("bytes", &[3], &[0.0, 127.0, 255.0]),
        ("parameter", &[2, 2], &[0.25; 4]),
        ("empty", &[0, 3], &[]),
    ];
    for (key, shape, values) in expected {
        assert_eq!(tensor(checkpoint, key), (shape.to_vec(), values.to_vec()), "{key}");
    }
    assert!(!checkpoint.get("transposed").unwrap().is_contiguous());
    assert!(checkpoint.get("parameter").unwrap().is_contiguous());
    assert_eq!(checkpoint.bytes("counter").unwrap(), 7i64.to_le_bytes());
    assert_eq!(checkpoint.bytes("slice").unwrap_err().code.0, "E0910");
}

#[test]
fn all_types_and_strides_of_the_zip_format() {
    for name in ["mixed.pt", "mixed_protocol4.pt"] {
        let checkpoint = Checkpoint::open_file(&fixture(name)).unwrap();
        check_mixed(&checkpoint);
        assert_eq!(checkpoint.get("complex").unwrap().dtype, Dtype::C64);
        assert_eq!(checkpoint.read_f32("complex", &mut [0.0]).unwrap_err().code.0, "E0911");
    }
}

#[test]
fn all_types_and_strides_of_the_older_format() {
    let checkpoint = Checkpoint::open_file(&fixture("mixed_legacy.bin")).unwrap();
    check_mixed(&checkpoint);
    assert_eq!(checkpoint.tensors().len(), 11);
}

#[test]
fn types_without_a_storage_class() {
    let checkpoint = Checkpoint::open_file(&fixture("rebuild_v3.pt")).unwrap();
    assert_eq!(tensor(&checkpoint, "u16"), (vec![3], vec![1.0, 2.0, 65535.0]));
}

#[test]
fn a_training_checkpoint_gives_its_state_dict_alone() {
    let checkpoint = Checkpoint::open_file(&fixture("lightning.ckpt")).unwrap();
    let keys: Vec<&str> = checkpoint.tensors().iter().map(|tensor| tensor.key.as_str()).collect();
    assert_eq!(keys, ["net.b", "net.w"]);
    assert_eq!(tensor(&checkpoint, "net.w").1, [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn nested_dictionaries_and_lists_give_dotted_keys() {
    let checkpoint = Checkpoint::open_file(&fixture("sections.pt")).unwrap();
    let keys: Vec<&str> = checkpoint.tensors().iter().map(|tensor| tensor.key.as_str()).collect();
    assert_eq!(keys, ["cell.state_dict.w", "parts.0", "parts.1"]);
    assert_eq!(tensor(&checkpoint, "parts.1").1, [5.0]);
}

#[test]
fn objects_beside_a_state_dict_are_passed_over() {
    let checkpoint = Checkpoint::open_file(&fixture("foreign_class.pt")).unwrap();
    assert_eq!(checkpoint.tensors().iter().map(|tensor| tensor.key.as_str()).collect::<Vec<_>>(), ["net.b", "net.w"]);
}
