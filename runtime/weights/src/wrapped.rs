//! Names that wrappers give to a network's tensors: those of the PEFT library in a state dict, and of the reference's tasks, which hold a network as
//! `backbone.encoder` and what stands on it as `adapter`.

use std::collections::HashMap;

use crate::checkpoint::Checkpoint;

/// Where the reference's tasks hold their network, and what stands on it.
const NETWORK: &str = "backbone.encoder.";
const HEAD: &str = "adapter.";
/// Where PEFT holds the network that it wraps.
const WRAPPED: &str = "base_model.model.";
/// What of a part PEFT keeps under the name of an adapter.
const OF_ADAPTERS: [&str; 5] = ["lora_A", "lora_B", "lora_magnitude_vector", "ia3_l", "modules_to_save"];

/// The tensors of a checkpoint by the names that they have without wrappers.
#[derive(Debug, Default)]
pub struct Unwrapped<'c> {
    /// Those of the network.
    network: HashMap<String, &'c str>,
    /// Those of what stands on it.
    head: HashMap<&'c str, &'c str>,
}

impl<'c> Unwrapped<'c> {
    /// Reads the names of a checkpoint.
    pub fn new(checkpoint: &'c Checkpoint) -> Self {
        let mut found = Self::default();
        for tensor in checkpoint.tensors() {
            let key = tensor.key.as_str();
            if let Some(rest) = key.strip_prefix(HEAD) {
                found.head.insert(rest, key);
            } else if key.starts_with(NETWORK) || key.starts_with(WRAPPED) {
                found.network.extend(plain(key).map(|name| (name, key)));
            }
        }
        found
    }

    /// Has it none of these names?
    pub fn is_empty(&self) -> bool {
        self.network.is_empty() && self.head.is_empty()
    }

    /// The names that a stored key has without wrappers: its own where it has none, and none for the original of a part of which a trained copy is stored.
    pub fn names(&self, key: &str) -> Vec<String> {
        plain(key).into_iter().chain(key.strip_prefix(HEAD).map(str::to_owned)).collect()
    }

    /// The stored key of a network's tensor.
    pub fn of_network(&self, name: &str) -> Option<&'c str> {
        self.network.get(name).copied()
    }

    /// The stored key of a tensor of what stands on the network.
    pub fn of_head(&self, name: &str) -> Option<&'c str> {
        self.head.get(name).copied()
    }
}

/// A tensor's name in the network; none for the original of a part of which a trained copy is stored.
fn plain(key: &str) -> Option<String> {
    let key = key.strip_prefix(NETWORK).unwrap_or(key);
    let Some(key) = key.strip_prefix(WRAPPED) else { return Some(key.to_owned()) };
    let segments: Vec<&str> = key.split('.').collect();
    let mut kept: Vec<&str> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| segments[before]);
        let names_adapter = OF_ADAPTERS.contains(&before) && *segment != "weight";
        match *segment {
            "original_module" => return None,
            "base_layer" | "modules_to_save" => {}
            _ if names_adapter => {}
            // PEFT's files drop it, its state dicts do not.
            "weight" if at >= 2 && segments[at - 2] == "lora_magnitude_vector" => {}
            segment => kept.push(segment),
        }
    }
    Some(kept.join("."))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn wrappers_are_taken_off() {
        for (stored, name) in [
            ("backbone.encoder.layer.0.query.weight", Some("layer.0.query.weight")),
            ("base_model.model.layer.0.query.lora_A.weight", Some("layer.0.query.lora_A.weight")),
            ("backbone.encoder.base_model.model.layer.0.query.lora_A.default.weight", Some("layer.0.query.lora_A.weight")),
            ("backbone.encoder.base_model.model.layer.0.query.base_layer.bias", Some("layer.0.query.bias")),
            ("base_model.model.layer.0.query.lora_magnitude_vector", Some("layer.0.query.lora_magnitude_vector")),
            ("base_model.model.layer.0.query.lora_magnitude_vector.default.weight", Some("layer.0.query.lora_magnitude_vector")),
            ("base_model.model.layer.0.key.ia3_l.default", Some("layer.0.key.ia3_l")),
            ("base_model.model.ln.modules_to_save.default.weight", Some("ln.weight")),
            ("base_model.model.ln.original_module.weight", None),
            ("base_model.model.default.weight", Some("default.weight")),
        ] {
            assert_eq!(plain(stored).as_deref(), name, "{stored}");
        }
    }
}
