//! The plan of an experiment.
