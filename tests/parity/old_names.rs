//! Checkpoints whose norms have the names of older files: `gamma` and `beta` for `weight` and `bias`.

use std::fs;

use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::Case;
use mgx_tests::world::TestWorld;
use serde_json::{Map, Value as Json};

use crate::encoder::Encoder;

/// The case's checkpoint with its norms under their old names must fill the same parameters with the same numbers.
pub fn check(account: &mut Account, case: &Case, kind: &str, backbone: &str, result: &str, encoder: &Encoder) -> Outcome<()> {
    let problem = |error: std::io::Error| format!("the copy of the checkpoint: {error}");
    let folder = tempfile::tempdir().map_err(problem)?;
    for entry in fs::read_dir(&case.folder).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with("expected") {
            fs::copy(entry.path(), folder.path().join(&name)).map_err(problem)?;
        }
    }
    let path = folder.path().join("model.safetensors");
    let (bytes, count) = renamed(&fs::read(&path).map_err(problem)?)?;
    account.check("no norm has another name", count > 0);
    fs::write(&path, bytes).map_err(problem)?;
    let world = TestWorld { root: folder.path().to_owned(), ..TestWorld::default() };
    let old = Encoder::new(world, kind, backbone, result)?;
    account.check("norms under their old names give other parameters", *old.network.memory == *encoder.network.memory);
    Ok(())
}

/// The file with the other names in its header, and how many there are. The offsets count from the end of the header.
fn renamed(file: &[u8]) -> Outcome<(Vec<u8>, usize)> {
    let length = file.first_chunk().map(|bytes| u64::from_le_bytes(*bytes) as usize).ok_or("a file without a header")?;
    let header = file.get(8..8 + length).ok_or("a file without its header")?;
    let header: Map<String, Json> = serde_json::from_slice(header).map_err(|error| format!("the header: {error}"))?;
    let mut count = 0;
    let renamed: Map<String, Json> = header
        .into_iter()
        .map(|(key, value)| {
            let is_norm = ["layernorm", "layer_norm", "ln", "emb_layer_norm_after"]
                .iter()
                .any(|norm| key.rsplit_once('.').is_some_and(|(owner, _)| owner.to_lowercase().rsplit('.').next() == Some(*norm)));
            let old =
                [("weight", "gamma"), ("bias", "beta")].iter().find_map(|(new, old)| Some(format!("{}{old}", key.strip_suffix(new)?)));
            count += usize::from(is_norm);
            (old.filter(|_| is_norm).unwrap_or(key), value)
        })
        .collect();
    let header = Json::Object(renamed).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &file[8 + length..]].concat();
    Ok((bytes, count))
}
