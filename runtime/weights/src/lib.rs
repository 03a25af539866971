//! Weights on disk: reading public checkpoints, loading them into a program's parameters, and writing files that are never half written.
//!
//! [`Checkpoint`] opens a folder or file (safetensors, or PyTorch's own format without running the code in it) and reads tensors as `f32`.
//! [`load`] fills the parameter memory of a plan and accounts for every tensor; [`check`] does so from the headers alone.
//! [`save`] writes safetensors, and [`CheckpointStore`] keeps the checkpoints of a training run: a process that is killed at any moment leaves
//! the last complete ones. What a file says is never believed before it is checked; a hostile file gives an error.

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian, and so must the machine be");

mod atomic;
mod checkpoint;
mod dtype;
mod hash;
mod load;
mod manifest;
mod mapped;
mod matching;
mod memory;
mod pickle;
mod report;
mod safetensors_header;
mod save;
mod shards;
mod store;
mod tensor;
mod torch;
mod wrapped;

pub use atomic::write_atomically;
pub use checkpoint::{Checkpoint, shard_names, weight_file};
pub use dtype::Dtype;
pub use hash::file_hash;
pub use load::{check, check_opened, load, load_opened, open_all, read_into};
pub use manifest::{Manifest, ManifestFile};
pub use matching::{LoadReport, UsedTensor, WeightsReport, is_listed, same_shape};
pub use memory::parameter_slices;
pub use report::cannot_write;
pub use save::{TensorData, save};
pub use store::{CheckpointStore, SavedCheckpoint};
pub use tensor::TensorInfo;
pub use wrapped::Unwrapped;
