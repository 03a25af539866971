//! Real checkpoints of PyTorch against what PyTorch itself reads from them. Not run by default, because they are large and not ours: put
//! files beside their tensors as safetensors (`a.bin`, `a.safetensors`; written from `torch.load` by `safetensors.torch.save_file`), name the folder
//! in `MGX_TORCH_ORACLES`, and run with `--ignored`.

mod common;

use std::path::Path;

use common::tensor;
use mgx_weights::Checkpoint;

#[test]
#[ignore = "needs files named in MGX_TORCH_ORACLES"]
fn agree_with_pytorch() {
    let folder = std::env::var("MGX_TORCH_ORACLES").expect("MGX_TORCH_ORACLES names a folder");
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let oracle_path = entry.unwrap().path();
        if oracle_path.extension().is_none_or(|ending| ending != "safetensors") {
            continue;
        }
        let oracle = Checkpoint::open_file(&oracle_path).unwrap();
        let ours = Checkpoint::open_file(&oracle_path.with_extension("bin")).unwrap();
        compare(&oracle_path, &ours, &oracle);
        compared += 1;
    }
    assert!(compared > 0, "no pairs in {folder}");
}

fn compare(name: &Path, ours: &Checkpoint, oracle: &Checkpoint) {
    let keys = |checkpoint: &Checkpoint| checkpoint.tensors().iter().map(|tensor| tensor.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(ours), keys(oracle), "{}", name.display());
    for info in oracle.tensors() {
        let (shape, values) = tensor(oracle, &info.key);
        let (our_shape, our_values) = tensor(ours, &info.key);
        assert_eq!((our_shape, ours.get(&info.key).unwrap().dtype), (shape, info.dtype), "{}", info.key);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(&our_values) == bits(&values), "{}: {}", name.display(), info.key);
    }
    println!("{}: {} tensors agree", name.display(), oracle.tensors().len());
}
