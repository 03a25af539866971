//! Runs experiments: gives a plan its data, parameters and devices, trains, evaluates and predicts.

pub mod init;
