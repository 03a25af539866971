//! Kernels: one for each kept value at first, then merged as long as one pass over one space can do the work of two.

use std::collections::{BTreeMap, BTreeSet};

use mgx_ir::graph::NodeId;

use super::canonical::Canonical;
use super::cone::{self, Cone, Kind, Space};
use super::layout;
use super::targets::Targets;
use super::units::{Unit, Work, heavy_units, last_value};

/// The most operations and reads of a merged kernel.
const MOST_NODES: usize = 64;
/// How far apart in the order of steps two kernels may be that are merged only because they read the same.
const NEAR: usize = 16;

/// A kernel: kept values computed in one pass.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) space: Space,
    /// Kept values, and values in memory that are stored elsewhere.
    pub(crate) targets: BTreeSet<NodeId>,
    pub(crate) computed: BTreeSet<NodeId>,
    /// Values read from memory, with what [`Cone::reads`] says.
    pub(crate) reads: BTreeMap<NodeId, bool>,
}

/// The steps to be, in no particular order.
pub(crate) struct Units {
    pub(crate) units: Vec<Unit>,
    pub(crate) targets: Targets,
}

impl Units {
    /// What a unit reads, as the values that are in memory themselves.
    pub(crate) fn bases<'a>(&'a self, canonical: &'a Canonical, unit: &'a Unit) -> impl Iterator<Item = NodeId> + 'a {
        unit.reads.iter().filter_map(|read| self.targets.base(canonical, *read))
    }

    /// What a unit runs after: what it reads and what that waits for, as the values that are in memory themselves.
    pub(crate) fn awaited<'a>(&'a self, canonical: &'a Canonical, unit: &'a Unit) -> impl Iterator<Item = NodeId> + 'a {
        awaited(canonical, &unit.reads).into_iter().filter_map(|read| self.targets.base(canonical, read))
    }
}

/// Forms the units of a program.
pub(crate) fn form(canonical: &Canonical, targets: &Targets) -> Units {
    let targets = Targets { kept: targets.kept.clone() };
    let mut units = heavy_units(canonical);
    let mut alone: BTreeSet<NodeId> = targets.kept.clone();
    alone.extend(canonical.destinations.iter().map(|destination| destination.node));
    for target in alone {
        let Cone { space, computed, reads } = cone::of(canonical, &targets, target);
        let produces = if computed.is_empty() { Vec::new() } else { vec![target] };
        let kernel = Kernel { space, targets: BTreeSet::from([target]), computed, reads };
        units.push(Unit { produces, reads: kernel.reads.keys().copied().collect(), work: Work::Kernel(kernel) });
    }
    let mut merger = Merger::new(canonical, Units { units, targets });
    merger.run();
    merger.finish()
}

/// Values and what they wait for.
fn awaited(canonical: &Canonical, reads: &[NodeId]) -> Vec<NodeId> {
    let mut awaited = reads.to_vec();
    for read in reads {
        let mut id = *read;
        while layout::may_be_view(&canonical.graph.node(id).op) {
            let inputs = &canonical.graph.node(id).inputs;
            awaited.extend(&inputs[1..]);
            id = inputs[0];
        }
    }
    awaited
}

/// Units under merging, as a graph whose edges go from who computes a value to who reads it.
struct Merger<'a> {
    canonical: &'a Canonical,
    targets: Targets,
    units: Vec<Option<Unit>>,
    producer: BTreeMap<NodeId, usize>,
    before: Vec<BTreeSet<usize>>,
    after: Vec<BTreeSet<usize>>,
    /// Place in a topological order.
    rank: Vec<usize>,
}

impl<'a> Merger<'a> {
    fn new(canonical: &'a Canonical, units: Units) -> Self {
        let count = units.units.len();
        let mut merger = Self {
            canonical,
            targets: units.targets,
            units: units.units.into_iter().map(Some).collect(),
            producer: BTreeMap::new(),
            before: vec![BTreeSet::new(); count],
            after: vec![BTreeSet::new(); count],
            rank: vec![0; count],
        };
        for (at, unit) in merger.units.iter().enumerate() {
            merger.producer.extend(unit.iter().flat_map(|unit| &unit.produces).map(|node| (*node, at)));
        }
        for at in 0..count {
            let reads = merger.units[at].as_ref().map(|unit| awaited(canonical, &unit.reads)).unwrap_or_default();
            for read in reads {
                let from = merger.targets.base(canonical, read).and_then(|base| merger.producer.get(&base)).copied();
                if let Some(from) = from.filter(|from| *from != at) {
                    merger.before[at].insert(from);
                    merger.after[from].insert(at);
                }
            }
        }
        merger.rerank();
        merger
    }

    fn finish(self) -> Units {
        Units { units: self.units.into_iter().flatten().collect(), targets: self.targets }
    }

    /// A topological order, those first whose values come first in the graph.
    fn rerank(&mut self) {
        let mut missing: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let key = |at: usize| self.units[at].as_ref().map(|unit| (last_value(unit), at));
        let mut ready: BTreeSet<_> = (0..self.units.len()).filter(|at| missing[*at] == 0).filter_map(key).collect();
        let mut next = 0;
        while let Some((_, at)) = ready.pop_first() {
            self.rank[at] = next;
            next += 1;
            for after in &self.after[at] {
                missing[*after] -= 1;
                if missing[*after] == 0 {
                    ready.extend(key(*after));
                }
            }
        }
        assert_eq!(next, self.units.iter().flatten().count(), "lowering: the kernels depend on each other in a circle");
    }

    fn run(&mut self) {
        loop {
            let mut changed = false;
            let mut order: Vec<usize> = (0..self.units.len()).filter(|at| self.kernel(*at).is_some()).collect();
            order.sort_by_key(|at| self.rank[*at]);
            for at in order {
                while self.kernel(at).is_some() && (self.merge_with_producer(at) || self.merge_with_neighbour(at)) {
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn kernel(&self, at: usize) -> Option<&Kernel> {
        match &self.units[at].as_ref()?.work {
            Work::Kernel(kernel) => Some(kernel),
            _ => None,
        }
    }

    /// Merges a kernel into one that computes what it reads, the latest first.
    fn merge_with_producer(&mut self, at: usize) -> bool {
        let mut producers: Vec<usize> = self.before[at].iter().copied().filter(|from| self.kernel(*from).is_some()).collect();
        producers.sort_by_key(|from| std::cmp::Reverse(self.rank[*from]));
        producers.into_iter().any(|from| self.try_merge(from, at))
    }

    /// Merges a kernel with one nearby that reads the same.
    fn merge_with_neighbour(&mut self, at: usize) -> bool {
        let mut others: Vec<usize> = (0..self.units.len())
            .filter(|other| *other != at && self.rank[*other].abs_diff(self.rank[at]) <= NEAR && self.share(*other, at))
            .collect();
        others.sort_by_key(|other| (self.rank[*other].abs_diff(self.rank[at]), self.rank[*other]));
        others.into_iter().any(|other| if self.rank[other] < self.rank[at] { self.try_merge(other, at) } else { self.try_merge(at, other) })
    }

    /// Do two kernels read the same large value, compute the same for each element, or compute only numbers?
    fn share(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.kernel(a), self.kernel(b)) else { return false };
        if a.space.axes.is_empty() && b.space.axes.is_empty() {
            return true;
        }
        let large = |value: &&NodeId| self.canonical.graph.ty(**value).axes.len() == a.space.axes.len();
        a.reads.keys().filter(large).any(|read| b.reads.contains_key(read))
            || a.computed.iter().filter(large).any(|id| b.computed.contains(id))
    }

    /// Merges `second` into `first`, which comes before it, if one pass can do both.
    fn try_merge(&mut self, first: usize, second: usize) -> bool {
        let (Some(a), Some(b)) = (self.kernel(first), self.kernel(second)) else { return false };
        let dependent = self.before[second].contains(&first);
        let reads = |read: &NodeId| self.targets.base(self.canonical, *read).and_then(|base| self.producer.get(&base)) == Some(&first);
        if dependent && !b.reads.keys().any(reads) {
            // It only waits for the other.
            return false;
        }
        let Some(space) = joined(&a.space, &b.space, dependent) else { return false };
        if !self.reads_in_place(a, b) || !self.reads_in_place(b, a) {
            return false;
        }
        let computed: BTreeSet<NodeId> = a.computed.union(&b.computed).copied().collect();
        let targets: BTreeSet<NodeId> = a.targets.union(&b.targets).copied().collect();
        let own = |read: &NodeId| targets.contains(read) && self.targets.kept.contains(read);
        let mut reads: BTreeMap<NodeId, bool> = BTreeMap::new();
        for (read, straight) in a.reads.iter().chain(&b.reads).filter(|(read, _)| !own(read)) {
            *reads.entry(*read).or_insert(true) &= straight;
        }
        if computed.len() + reads.len() > MOST_NODES || self.detour(first, second) || self.detour(second, first) {
            return false;
        }
        let kernel = Kernel { space, targets, computed, reads };
        self.replace(first, second, kernel);
        true
    }

    /// Does `reader` read what `writer` computes only at the element being computed, and not through a view?
    fn reads_in_place(&self, writer: &Kernel, reader: &Kernel) -> bool {
        reader.reads.iter().all(|(read, straight)| match self.targets.base(self.canonical, *read) {
            Some(base) if writer.targets.contains(&base) && self.targets.kept.contains(&base) => *straight && base == *read,
            _ => true,
        })
    }

    /// Is there a way from one unit to another through a third?
    fn detour(&self, from: usize, to: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open: Vec<usize> = self.after[from].iter().copied().filter(|next| *next != to).collect();
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            if self.rank[at] < self.rank[to] && seen.insert(at) {
                open.extend(&self.after[at]);
            }
        }
        false
    }

    fn replace(&mut self, first: usize, second: usize, kernel: Kernel) {
        let produces: Vec<NodeId> = kernel.targets.iter().copied().filter(|node| kernel.computed.contains(node)).collect();
        self.producer.extend(produces.iter().map(|node| (*node, first)));
        self.units[first] = Some(Unit { produces, reads: kernel.reads.keys().copied().collect(), work: Work::Kernel(kernel) });
        self.units[second] = None;
        for other in std::mem::take(&mut self.before[second]) {
            self.after[other].remove(&second);
            if other != first {
                self.after[other].insert(first);
                self.before[first].insert(other);
            }
        }
        for other in std::mem::take(&mut self.after[second]) {
            self.before[other].remove(&second);
            if other != first {
                self.before[other].insert(first);
                self.after[first].insert(other);
            }
        }
        self.before[first].remove(&first);
        self.after[first].remove(&first);
        self.rerank();
    }
}

/// The space in which both kernels can run in one pass. `dependent`: `b` reads what `a` computes.
fn joined(a: &Space, b: &Space, dependent: bool) -> Option<Space> {
    let same = |a: &Space, b: &Space| a.per_sample == b.per_sample && a.set() == b.set();
    let rows = |rows: &Space, elements: &Space| {
        // All of a large value as one row would leave its elements to one core.
        let one_row = rows.left().is_empty() && rows.axes.len() > 1;
        let whole = rows.set() == elements.set() && !one_row;
        let fits = rows.per_sample == elements.per_sample && (whole || rows.left() == elements.set());
        fits.then(|| rows.clone())
    };
    match (&a.kind, &b.kind) {
        (Kind::Elements, Kind::Elements) => same(a, b).then(|| a.clone()),
        (Kind::Rows { .. }, Kind::Elements) => rows(a, b),
        (Kind::Elements, Kind::Rows { .. }) => rows(b, a),
        (Kind::Rows { .. }, Kind::Rows { .. }) => (same(a, b) && a.kind == b.kind).then(|| a.clone()),
        (Kind::Columns { .. }, Kind::Columns { .. }) => (same(a, b) && a.kind == b.kind && !dependent).then(|| a.clone()),
        (Kind::Columns { batch, .. }, Kind::Elements) => {
            let fits = dependent && a.left() == b.set() && b.per_sample == (a.per_sample && !batch);
            fits.then(|| a.clone())
        }
        _ => None,
    }
}
