//! The frozen part of an experiment: its values for a row are computed once, and kept on the disk for later epochs, heads and experiments. They are found by
//! what they depend on (what is computed, the bytes of the parameters and of the row's inputs), so that nothing that has changed is ever found.

mod store;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use mgx_diag::Diagnostic;
use mgx_ir::graph::DType;
use mgx_ir::plan::{Batch, FrozenSpec, FrozenValue, InputData, ParamSpec, Precision};
use sha2::{Digest, Sha256};

use crate::memory::{check_inputs, fault};
use crate::programs::Stage;
use crate::session::Session;
use store::{Key, Store, evict};

/// Where values of frozen parts are kept, and how many bytes of them.
#[derive(Clone, Debug)]
pub struct Cache {
    pub folder: PathBuf,
    /// An experiment whose values need more is not kept; older ones make room for newer.
    pub limit: u64,
}

/// What became of a session's frozen part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrozenReport {
    /// Rows whose values were computed, their tokens, and how long it took.
    pub computed: u64,
    pub tokens: u64,
    pub seconds: f64,
    /// Rows whose values were found in the cache at their first use.
    pub found: u64,
    /// Why nothing is kept, or no longer.
    pub note: Option<String>,
}

/// The state of a session's frozen part.
#[derive(Default)]
pub(crate) struct Frozen {
    cache: Option<Cache>,
    /// With the parameters as they are: none until they are first needed.
    open: Option<Open>,
    report: FrozenReport,
    /// Rows that were used.
    used: HashSet<u64>,
}

#[derive(Default)]
struct Open {
    part: Key,
    store: Option<Store>,
    rows: HashMap<u64, Key>,
}

impl Frozen {
    pub fn new(cache: Option<Cache>) -> Self {
        Self { cache, ..Self::default() }
    }

    /// Forgets what belongs to parameters that have other values now.
    pub fn forget(&mut self) {
        self.open = None;
    }
}

impl Session {
    /// What became of the frozen part; none if the experiment has none.
    pub fn frozen_report(&self) -> Option<&FrozenReport> {
        self.plan.frozen.as_ref().map(|_| &self.frozen.report)
    }

    /// The inputs of a batch of rows, with the values of the frozen part.
    ///
    /// # Errors
    /// Those of running; what cannot be kept is noted in the report and no error.
    pub(crate) fn batch(&mut self, rows: &[u64], random: u64) -> Result<Batch, Diagnostic> {
        let mut batch = self.data.inputs().batch(rows, random);
        if self.plan.frozen.is_some() {
            let values = self.frozen_values(rows)?;
            batch.inputs.extend(values);
        }
        check_inputs(&self.plan, &batch)?;
        Ok(batch)
    }

    fn frozen_values(&mut self, rows: &[u64]) -> Result<Vec<(String, InputData)>, Diagnostic> {
        self.open_frozen();
        let Some(spec) = &self.plan.frozen else { return Ok(Vec::new()) };
        let Some(open) = self.frozen.open.as_mut() else { return Err(fault("its frozen part is not open")) };
        let mut records: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut missing: Vec<u64> = Vec::new();
        for row in rows {
            let first = self.frozen.used.insert(*row);
            let key = *open.rows.entry(*row).or_insert_with(|| row_key(&open.part, spec, &self.data.inputs().batch(&[*row], 0)));
            match open.store.as_mut().and_then(|store| store.get(&key)) {
                Some(record) => {
                    self.frozen.report.found += u64::from(first);
                    records.insert(*row, record);
                }
                None if !missing.contains(row) => missing.push(*row),
                None => {}
            }
        }
        if !missing.is_empty() {
            let start = Instant::now();
            let batch = self.data.inputs().batch(&missing, 0);
            let executable = self.programs.get(&self.plan, Stage::Frozen)?;
            executable.run(&mut self.memory, &batch)?;
            let mut computed: Vec<Vec<u8>> = vec![Vec::new(); missing.len()];
            for value in &spec.values {
                let data = executable.output(&self.memory, &batch, &value.name)?;
                let mut bytes = match &data {
                    InputData::F32(values) => bytemuck::cast_slice::<f32, u8>(values),
                    InputData::I32(values) => bytemuck::cast_slice::<i32, u8>(values),
                };
                for (sample, record) in batch.samples.iter().zip(&mut computed) {
                    let (own, rest) = bytes
                        .split_at_checked(4 * value.elements(&sample.lengths) as usize)
                        .ok_or_else(|| fault("a value of its frozen part is shorter than its axes"))?;
                    record.extend_from_slice(own);
                    bytes = rest;
                }
            }
            let report = &mut self.frozen.report;
            report.computed += missing.len() as u64;
            report.tokens += missing.iter().map(|row| self.data.cost(*row)).sum::<u64>();
            report.seconds += start.elapsed().as_secs_f64();
            for (row, record) in missing.into_iter().zip(computed) {
                if let (Some(store), Some(key)) = (open.store.as_mut(), open.rows.get(&row))
                    && let Err(error) = store.put(*key, record.clone())
                {
                    report.note = Some(format!("values are no longer kept: {}", error.message));
                    open.store = None;
                }
                records.insert(row, record);
            }
        }
        gathered(spec, rows, &records, |row| self.data.inputs().lengths(row))
    }

    /// Finds out what the part is with the parameters as they are, and opens its folder.
    fn open_frozen(&mut self) {
        let Some(spec) = self.plan.frozen.as_ref().filter(|_| self.frozen.open.is_none()) else { return };
        let part = part_key(spec, &self.plan.params, &self.memory.params);
        let mut open = Open { part, ..Open::default() };
        let report = &mut self.frozen.report;
        if let Some(cache) = &self.frozen.cache {
            let lengths = (0..self.data.inputs().rows()).map(|row| self.data.inputs().lengths(row));
            let bytes: u64 = lengths.flat_map(|lengths| spec.values.iter().map(move |value| 4 * value.elements(&lengths))).sum();
            let root = cache.folder.join(FOLDER);
            let folder = root.join(hexadecimal(&part));
            if bytes > cache.limit {
                report.note = Some(format!("nothing is kept: it would take {bytes} bytes, and the cache may have {}", cache.limit));
            } else {
                match Store::open(&folder) {
                    Ok(store) => {
                        open.store = Some(store);
                        evict(&root, &folder, cache.limit.saturating_sub(bytes));
                    }
                    Err(error) => report.note = Some(format!("nothing is kept: {}", error.message)),
                }
            }
        }
        self.frozen.open = Some(open);
    }

    /// Brings the kept values to the disk.
    pub(crate) fn flush_frozen(&mut self) {
        let Some(open) = self.frozen.open.as_mut() else { return };
        if let Some(Err(error)) = open.store.as_mut().map(Store::flush) {
            self.frozen.report.note = Some(format!("values are no longer kept: {}", error.message));
            open.store = None;
        }
    }
}

/// The folder in the cache.
const FOLDER: &str = "frozen";

/// What is computed, by which version, from which parameters.
fn part_key(spec: &FrozenSpec, params: &[ParamSpec], memory: &[u8]) -> Key {
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(&spec.fingerprint);
    for param in spec.params.iter().filter_map(|id| params.get(id.0 as usize)) {
        let bf16 = param.precision == Precision::Bf16;
        let (start, length) = (param.offset as usize, param.bytes() as usize);
        hasher.update([u8::from(bf16)]);
        hasher.update((length as u64).to_le_bytes());
        hasher.update(memory.get(start..start + length).unwrap_or_default());
    }
    hasher.finalize().into()
}

/// The part, and everything that it reads of a row; `batch` is the row alone.
fn row_key(part: &Key, spec: &FrozenSpec, batch: &Batch) -> Key {
    let mut hasher = Sha256::new();
    hasher.update(part);
    for length in batch.samples.iter().flat_map(|sample| &sample.lengths) {
        hasher.update(length.to_le_bytes());
    }
    for data in spec.inputs.iter().map(|name| batch.inputs.get(name)) {
        let (kind, bytes) = match data {
            Some(InputData::F32(values)) => (1, bytemuck::cast_slice::<f32, u8>(values)),
            Some(InputData::I32(values)) => (2, bytemuck::cast_slice::<i32, u8>(values)),
            None => (0, [].as_slice()),
        };
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().into()
}

/// The records of rows as inputs of the batch, by their names.
fn gathered(
    spec: &FrozenSpec,
    rows: &[u64],
    records: &HashMap<u64, Vec<u8>>,
    lengths: impl Fn(u64) -> Vec<u64>,
) -> Result<Vec<(String, InputData)>, Diagnostic> {
    let mut values: Vec<Vec<u8>> = vec![Vec::new(); spec.values.len()];
    for row in rows {
        let mut record = records.get(row).map(Vec::as_slice).unwrap_or_default();
        let lengths = lengths(*row);
        for (value, all) in spec.values.iter().zip(&mut values) {
            let (own, rest) = record
                .split_at_checked(4 * value.elements(&lengths) as usize)
                .ok_or_else(|| fault("a record of its frozen part is too short"))?;
            all.extend_from_slice(own);
            record = rest;
        }
    }
    let words = |bytes: Vec<u8>| bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]).collect::<Vec<_>>();
    let typed = |(value, bytes): (&FrozenValue, Vec<u8>)| {
        let data = match value.dtype {
            DType::F32 => InputData::F32(words(bytes).into_iter().map(f32::from_le_bytes).collect()),
            DType::I32 | DType::Bool => InputData::I32(words(bytes).into_iter().map(i32::from_le_bytes).collect()),
        };
        (value.name.clone(), data)
    };
    Ok(spec.values.iter().zip(values).map(typed).collect())
}

fn hexadecimal(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
