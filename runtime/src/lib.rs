//! Runs experiments: gives a plan its data and memory, trains, evaluates, predicts, and keeps what comes of it in a run's folder.
//!
//! The order of work: [`Data::read`] (its [`Data::capacity`] goes into the plan), [`Session::new`], [`RunFolder::create`] or
//! [`RunFolder::open`], [`Session::fit`], [`Session::test`], [`Session::predict`] with [`Session::write_predictions`].
//!
//! Promises: memory is what `Plan::memory` says; results depend on the plan, the data and the weights alone; a run that is killed and resumed
//! ends with the same bits; an error leaves the last checkpoint complete.

mod adapters;
mod data;
mod exact;
mod filling;
mod frozen;
mod identity;
pub mod init;
mod interrupt;
mod memory;
mod metrics;
mod outputs;
mod params;
mod predictions;
mod programs;
mod progress;
mod resources;
mod restore;
mod run;
mod session;
mod stage;
mod structures;
mod test;
mod train;

pub use data::{Data, DataSource};
pub use filling::Filled;
pub use frozen::{Cache, FrozenReport};
pub use interrupt::Interrupt;
pub use metrics::{Metrics, Score};
pub use outputs::Collected;
pub use predictions::Predictions;
pub use progress::ProgressMode;
pub use resources::{Resources, peak_memory};
pub use restore::{Misshapen, RestoreReport, Strictness};
pub use run::{FileLock, Lock, RunFolder};
pub use session::{Session, Settings, Source};
pub use stage::Evaluation;
pub use structures::Structures;
pub use train::{Best, FitReport, Forecast, Stop};
