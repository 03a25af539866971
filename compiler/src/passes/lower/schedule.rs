//! The order of the steps: after what they read, in the order of the graph, and earlier where that frees memory.

use std::collections::{BTreeMap, BTreeSet};

use mgx_ir::graph::{NodeId, Op};
use mgx_ir::plan::Storage;

use super::LowerOptions;
use super::canonical::Canonical;
use super::kernels::Units;
use super::memory::bytes;
use super::units::{Unit, Work, last_value};

/// The units in the order they run.
pub(crate) fn order(canonical: &Canonical, units: &Units, options: &LowerOptions<'_>) -> Vec<usize> {
    let count = units.units.len();
    let producer: BTreeMap<NodeId, usize> =
        units.units.iter().enumerate().flat_map(|(at, unit)| unit.produces.iter().map(move |node| (*node, at))).collect();
    let reads: Vec<BTreeSet<NodeId>> = units.units.iter().map(|unit| units.bases(canonical, unit).collect()).collect();
    let mut after: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    for (at, unit) in units.units.iter().enumerate() {
        for from in units.awaited(canonical, unit).filter_map(|read| producer.get(&read).copied()).filter(|from| *from != at) {
            after[from].insert(at);
        }
    }
    for (reader, writer) in overwrites(canonical, units, &reads, options) {
        after[reader].insert(writer);
    }
    let mut missing = vec![0; count];
    for next in after.iter().flatten() {
        missing[*next] += 1;
    }
    let mut memory = Memory::new(canonical, units, &reads, options);
    let mut ready: BTreeSet<(NodeId, usize)> =
        (0..count).filter(|at| missing[*at] == 0).map(|at| (last_value(&units.units[at]), at)).collect();
    let mut order = Vec::with_capacity(count);
    while !ready.is_empty() {
        let freeing = ready.iter().find(|(_, at)| memory.growth(&units.units[*at], &reads[*at]) <= 0).copied();
        let Some(next) = freeing.or_else(|| ready.first().copied()) else { break };
        ready.remove(&next);
        let at = next.1;
        memory.run(&reads[at]);
        order.push(at);
        for next in &after[at] {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.insert((last_value(&units.units[*next]), *next));
            }
        }
    }
    assert_eq!(order.len(), count, "lowering: a step would overwrite what a later step that it needs still reads");
    order
}

/// Pairs (reader, writer) of units: the reader must have read before the writer stores over it.
fn overwrites(canonical: &Canonical, units: &Units, reads: &[BTreeSet<NodeId>], options: &LowerOptions<'_>) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let written = |unit: &Unit| -> Vec<Storage> {
        let Work::Kernel(kernel) = &unit.work else { return Vec::new() };
        let own = canonical.destinations.iter().filter(|destination| kernel.targets.contains(&destination.node) && !destination.accumulate);
        own.map(|destination| destination.storage).collect()
    };
    for (writer, unit) in units.units.iter().enumerate() {
        let regions: Vec<_> = written(unit).iter().map(region).collect();
        if regions.is_empty() {
            continue;
        }
        for (reader, reads) in reads.iter().enumerate().filter(|(reader, _)| *reader != writer) {
            let conflicts =
                reads.iter().filter_map(|read| source_storage(canonical, *read, options)).any(|from| regions.contains(&region(&from)));
            if conflicts {
                pairs.push((reader, writer));
            }
        }
    }
    pairs
}

/// A memory as a whole: which part of it is not looked at, but for parameters, of which each is written by itself (a state) or all as one.
fn region(storage: &Storage) -> (u8, u64) {
    match storage {
        Storage::Param { offset } | Storage::ParamBf16 { offset } => (0, *offset),
        Storage::Gradient { .. } => (1, 0),
        Storage::State { slot, .. } => (2, u64::from(*slot)),
        Storage::Arena { .. } => (3, 0),
        Storage::Input => (4, 0),
        Storage::Alias(_) => (5, 0),
    }
}

/// Where a value is that is in memory before the program starts.
pub(crate) fn source_storage(canonical: &Canonical, id: NodeId, options: &LowerOptions<'_>) -> Option<Storage> {
    match &canonical.graph.node(id).op {
        Op::Param(id) => {
            let offset = options.params[id.0 as usize];
            let is_bf16 = options.bf16.get(id.0 as usize).copied().unwrap_or(false);
            Some(if is_bf16 { Storage::ParamBf16 { offset } } else { Storage::Param { offset } })
        }
        Op::Input { name } => Some(options.memory.iter().find(|(other, _)| other == name).map_or(Storage::Input, |(_, storage)| *storage)),
        _ => None,
    }
}

/// What the arena would hold as the steps go.
struct Memory {
    sizes: BTreeMap<NodeId, i64>,
    readers: BTreeMap<NodeId, usize>,
}

impl Memory {
    fn new(canonical: &Canonical, units: &Units, reads: &[BTreeSet<NodeId>], options: &LowerOptions<'_>) -> Self {
        let mut sizes = BTreeMap::new();
        for node in units.units.iter().flat_map(|unit| &unit.produces).filter(|node| !canonical.direct.contains_key(node)) {
            let size = bytes(&canonical.graph.axes, canonical.graph.ty(*node), options.capacity);
            sizes.insert(*node, i64::try_from(size).unwrap_or(i64::MAX));
        }
        let mut readers: BTreeMap<NodeId, usize> = BTreeMap::new();
        for read in reads.iter().flatten() {
            *readers.entry(*read).or_default() += 1;
        }
        for (_, output) in &canonical.outputs {
            *readers.entry(units.targets.base(canonical, *output).unwrap_or(*output)).or_default() += 1;
        }
        // What nothing reads (a value that is only stored elsewhere, or lives in a register) takes no room.
        sizes.retain(|node, _| readers.contains_key(node));
        Self { sizes, readers }
    }

    /// Bytes that a step adds, less those that it is the last to read.
    fn growth(&self, unit: &Unit, reads: &BTreeSet<NodeId>) -> i64 {
        let added: i64 = unit.produces.iter().filter_map(|node| self.sizes.get(node)).sum();
        let freed: i64 = reads.iter().filter(|read| self.readers.get(read) == Some(&1)).filter_map(|read| self.sizes.get(read)).sum();
        added - freed
    }

    fn run(&mut self, reads: &BTreeSet<NodeId>) {
        for read in reads {
            if let Some(readers) = self.readers.get_mut(read) {
                *readers -= 1;
            }
        }
    }
}
