//! Pickles made by hand to do harm give an error, quickly and in little memory.

mod common;

use common::{code_of, fixture, open_bytes, torch_zip};

fn code(pickle: &[u8]) -> &'static str {
    code_of(&torch_zip(pickle, &[("0", &[0; 40])]))
}

/// A state dict with one tensor over storage `0` of ten floats: numbers as decimal text, tuples between marks.
fn with_tensor(storage_elements: &str, offset: &str, shape: &[&str], strides: &[&str]) -> Vec<u8> {
    let tuple = |numbers: &[&str]| format!("({}t", numbers.iter().map(|number| format!("I{number}\n")).collect::<String>());
    let mut pickle =
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n".to_vec();
    pickle.extend(format!("X\x01\0\0\00X\x03\0\0\0cpuI{storage_elements}\ntQI{offset}\n{}{}", tuple(shape), tuple(strides)).into_bytes());
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    pickle
}

#[test]
fn a_well_formed_tensor_is_read() {
    let checkpoint = open_bytes(&torch_zip(&with_tensor("10", "4", &["2", "3"], &["3", "1"]), &[("0", &[0; 40])])).unwrap();
    assert_eq!(checkpoint.get("w").unwrap().shape, [2, 3]);
}

#[test]
fn calls_of_anything_else_are_refused() {
    for (pickle, name) in [
        (b"cos\nsystem\n(X\x02\x00\x00\x00idtR.".as_slice(), "`os.system`"),
        (b"\x8c\x08builtins\x8c\x04eval\x93.", "`builtins.eval`"),
        (b"ctorch\nload\n.", "`torch.load`"),
        (b"ctorch._utils\n_rebuild_sparse_tensor\n.", "`torch._utils._rebuild_sparse_tensor`"),
        (b"ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x82\x01.", "EXT"),
        (b"Pid\n.", "PERSID"),
        (b"\x80\x09.", "protocol 9"),
    ] {
        let error = open_bytes(&torch_zip(pickle, &[])).unwrap_err();
        assert_eq!(error.code.0, "E0906", "{name}");
        assert!(error.message.contains(name), "{}", error.message);
    }
}

/// Objects of other classes beside the state dict of a training checkpoint are passed over, whatever is done with them; within it they are refused.
#[test]
fn strangers_beside_a_state_dict_are_passed_over() {
    let tensor = with_tensor("10", "4", &["2", "3"], &["3", "1"]);
    let state_dict = &tensor[2..tensor.len() - 1];
    let named = |key: &str, value: &[u8]| [b"X", &(key.len() as u32).to_le_bytes()[..], key.as_bytes(), value, b"s"].concat();
    let strangers: [&[u8]; 6] = [
        b"cos\nsystem\n(X\x02\x00\x00\x00idtR",
        b"cmy.tasks\nTask\n)\x81}X\x01\x00\x00\x00aK\x01sb",
        b"cmy.tasks\nTask\n)}\x92",
        b"cmy.tasks\nList\n)RK\x01a",
        b"cmy.tasks\nDict\n)RX\x01\x00\x00\x00aK\x01s",
        b"ccopy_reg\n_reconstructor\n(cmy.tasks\nTask\nc__builtin__\nobject\nNtR}X\x01\x00\x00\x00aK\x01sb",
    ];
    for stranger in strangers {
        let whole = [b"\x80\x02}", &named("hyper_parameters", stranger)[..], &named("state_dict", state_dict), b"."].concat();
        let checkpoint = open_bytes(&torch_zip(&whole, &[("0", &[0; 40])])).unwrap();
        assert_eq!(checkpoint.tensors().iter().map(|tensor| tensor.key.as_str()).collect::<Vec<_>>(), ["w"]);
        for within in [named("w", stranger), named("hyper_parameters", stranger)] {
            let inner = [b"}", &within[..]].concat();
            let inside = [b"\x80\x02}", &named("state_dict", &inner)[..], b"."].concat();
            assert_eq!(code(&inside), "E0906", "{stranger:?}");
            assert_eq!(code(&[b"\x80\x02}", &within[..], b"."].concat()), "E0906", "{stranger:?}");
        }
    }
}

/// A number of Python beside the tensors of a state dict is a tensor of one element; elsewhere it is none.
#[test]
fn numbers_of_a_state_dict_are_read() {
    let number = [b"}X\x09\0\0\0thresholdG".as_slice(), &0.07f64.to_be_bytes(), b"s"].concat();
    let state_dict = [b"\x80\x02}X\x0a\0\0\0state_dict".as_slice(), &number, b"s."].concat();
    let checkpoint = open_bytes(&torch_zip(&state_dict, &[])).unwrap();
    let mut found = [0.0];
    checkpoint.read_f32("threshold", &mut found).unwrap();
    assert_eq!((checkpoint.get("threshold").unwrap().shape.clone(), found), (vec![], [0.07]));
    let plain = [b"\x80\x02".as_slice(), &number, b"."].concat();
    assert!(open_bytes(&torch_zip(&plain, &[])).unwrap().tensors().is_empty());
}

#[test]
fn terminal_escapes_in_names_are_not_shown() {
    let error = open_bytes(&torch_zip(b"cos\x1b[2J\nsystem\n.", &[])).unwrap_err();
    assert!(!error.message.contains('\x1b'), "{}", error.message);
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    let large = u64::MAX.to_string();
    let half = (1u64 << 62).to_string();
    for (offset, shape, strides) in [
        ("0", vec!["11"], vec!["1"]),
        ("10", vec!["1"], vec!["1"]),
        ("4", vec!["2", "4"], vec!["4", "1"]),
        ("0", vec!["2"], vec!["10"]),
        ("0", vec![half.as_str(), "4"], vec!["0", "0"]),
        ("0", vec!["3", "3"], vec![half.as_str(), half.as_str()]),
        (half.as_str(), vec!["1"], vec!["1"]),
        ("0", vec!["2", "2"], vec!["1"]),
    ] {
        assert_eq!(code(&with_tensor("10", offset, &shape, &strides)), "E0909", "{offset} {shape:?} {strides:?}");
    }
    for number in ["-1", large.as_str(), "x"] {
        assert_eq!(code(&with_tensor("10", number, &["1"], &["1"])), "E0907");
        assert_eq!(code(&with_tensor("10", "0", &["1"], &[number])), "E0907");
    }
    assert_eq!(code(&with_tensor("10", "0", &["1"; 65], &["1"; 65])), "E0907", "too many axes");
}

#[test]
fn storages_larger_than_their_data_are_refused() {
    for elements in ["11", "4611686018427387903"] {
        assert!(["E0905", "E0907"].contains(&code(&with_tensor(elements, "0", &["1"], &["1"]))), "{elements}");
    }
    assert_eq!(code_of(&torch_zip(&with_tensor("10", "0", &["1"], &["1"]), &[])), "E0905", "no storage at all");
}

#[test]
fn stack_and_memo_faults_are_errors() {
    for pickle in [
        b"".as_slice(),
        b".",
        b"0.",
        b"1.",
        b"2.",
        b"(0.",
        b"}(K\x01u.",
        b"}s.",
        b"K\x01K\x02K\x03s.",
        b"e.",
        b"]K\x01K\x02a",
        b"h\x05.",
        b"j\xff\xff\xff\xff.",
        b"q\x01.",
        b"\x94.",
        b"\x85.",
        b"(\x85.",
        b"R.",
        b")R.",
        b"K\x01)R.",
        b"Q.",
        b")Q.",
        b"X\xff\xff\xff\xffabc",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc",
        b"X\x01\x00\x00\x00\xff.",
        b"c\xff\n\xff\n.",
        b"Inot a number\n.",
        b"\x8b\xff\xff\xff\xff",
        b"\xfe.",
    ] {
        assert_eq!(code(pickle), "E0907", "{pickle:?}");
    }
    assert_eq!(code(b"K\x01."), "E0905", "no dictionary");
}

/// `l1 = [l0] * 10`, `l2 = [l1] * 10` …: a billion values in a hundred bytes.
#[test]
fn lists_of_shared_lists_are_too_large() {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00a]q\x00".to_vec();
    for level in 0..20u8 {
        pickle.extend(b"](");
        for _ in 0..10 {
            pickle.extend([b'h', level]);
        }
        pickle.extend([b'e', b'q', level + 1]);
    }
    pickle.extend(b"0".repeat(21));
    pickle.extend(b"h\x14s.");
    assert_eq!(code(&pickle), "E0908");
}

#[test]
fn cycles_and_deep_nesting_are_too_large() {
    assert_eq!(code(b"}q\x00X\x01\x00\x00\x00ah\x00s."), "E0908", "a dictionary in itself");
    assert_eq!(code(b"}X\x01\x00\x00\x00a]q\x00h\x00as."), "E0908", "a list in itself");
    let mut deep = b"}X\x01\x00\x00\x00a".to_vec();
    deep.extend(b"]".repeat(500_000));
    deep.extend(b"a".repeat(499_999));
    deep.extend(b"s.");
    assert_eq!(code(&deep), "E0908");
    let many = [b"(".repeat(5_000_000), b".".to_vec()].concat();
    assert_eq!(code(&many), "E0908", "more marks than the budget");
    let long = [b"}X\x88\x13\x00\x00".to_vec(), b"k".repeat(5000), b"K\x01s.".to_vec()].concat();
    assert_eq!(code(&long), "E0908", "a key of 5000 letters");
}

#[test]
fn archives_that_are_not_torch_s_are_refused() {
    assert_eq!(code_of(&torch_zip(b"}.", &[])[..60]), "E0905");
    assert_eq!(code_of(b"PK\x03\x04"), "E0905");
    assert_eq!(code_of(b"\x80\x02\x8a\x0a0123456789."), "E0907");
    assert_eq!(code_of(b"\x80\x02\x8a\x0a0123456789.K\x01."), "E0905");
}

#[test]
fn the_older_format_cut_off_anywhere_is_an_error() {
    let bytes = std::fs::read(fixture("mixed_legacy.bin")).unwrap();
    for length in (20..bytes.len()).step_by(7) {
        assert!(open_bytes(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}
