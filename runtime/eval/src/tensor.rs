//! Arrays of f64 whose dimensions are axes, and indices by axis. Elements are read by name of axis, never by position.

use mgx_ir::graph::{AxisId, DType};

/// A position along each of some axes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(Vec<(AxisId, usize)>);

impl Index {
    /// The position along an axis.
    ///
    /// # Panics
    /// Where the index does not name the axis.
    pub fn get(&self, axis: AxisId) -> usize {
        let entry = self.0.iter().find(|(name, _)| *name == axis);
        entry.unwrap_or_else(|| panic!("axis {} is not among {:?}", axis.0, self.0)).1
    }

    /// The same index with another position along `axis`, named or not before.
    pub fn with(&self, axis: AxisId, position: usize) -> Self {
        let mut index = self.clone();
        index.set(axis, position);
        index
    }

    /// Moves to `position` along `axis`, named or not before.
    pub fn set(&mut self, axis: AxisId, position: usize) {
        match self.0.iter_mut().find(|(name, _)| *name == axis) {
            Some(entry) => entry.1 = position,
            None => self.0.push((axis, position)),
        }
    }
}

/// Calls `visit` for every index over `axes` of extents `shape`, the last axis fastest, with the positions of `base` besides.
pub fn for_each_index(base: &Index, axes: &[AxisId], shape: &[usize], mut visit: impl FnMut(&Index)) {
    let mut index = base.clone();
    let count: usize = shape.iter().product();
    for number in 0..count {
        let mut rest = number;
        for (axis, extent) in axes.iter().zip(shape).rev() {
            index.set(*axis, rest % extent);
            rest /= extent;
        }
        visit(&index);
    }
}

/// A value of one sample, or one that all samples share: row-major in the order of `axes`.
///
/// Elements are f64 whatever the element type: an I32 is held exactly, a Bool is 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dtype: DType,
    pub axes: Vec<AxisId>,
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Tensor {
    /// The tensor that has `value(index)` at every index.
    pub fn from_fn(dtype: DType, axes: &[AxisId], shape: &[usize], mut value: impl FnMut(&Index) -> f64) -> Self {
        let mut data = Vec::with_capacity(shape.iter().product());
        for_each_index(&Index::default(), axes, shape, |index| data.push(value(index)));
        Self { dtype, axes: axes.to_vec(), shape: shape.to_vec(), data }
    }

    /// The same number everywhere.
    pub fn filled(dtype: DType, axes: &[AxisId], shape: &[usize], value: f64) -> Self {
        Self { dtype, axes: axes.to_vec(), shape: shape.to_vec(), data: vec![value; shape.iter().product()] }
    }

    /// The element at an index, which may name more axes than the tensor has: along those it is repeated.
    ///
    /// # Panics
    /// Where the index lacks one of the tensor's axes or is outside.
    pub fn at(&self, index: &Index) -> f64 {
        self.data[self.offset(index)]
    }

    /// Adds to the element at an index; see [`Tensor::at`].
    pub fn add(&mut self, index: &Index, value: f64) {
        let offset = self.offset(index);
        self.data[offset] += value;
    }

    /// The extent of one of the tensor's axes.
    ///
    /// # Panics
    /// Where the tensor lacks the axis.
    pub fn extent(&self, axis: AxisId) -> usize {
        let place = self.axes.iter().position(|name| *name == axis);
        self.shape[place.unwrap_or_else(|| panic!("axis {} is not among {:?}", axis.0, self.axes))]
    }

    /// The same elements with the axes in another storage order.
    pub fn permuted(&self, axes: &[AxisId]) -> Self {
        let shape: Vec<usize> = axes.iter().map(|axis| self.extent(*axis)).collect();
        assert_eq!(axes.len(), self.axes.len(), "{axes:?} is no order of {:?}", self.axes);
        Self::from_fn(self.dtype, axes, &shape, |index| self.at(index))
    }

    /// How far apart neighbours along each of `axes` are in `data`; 0 for an axis the tensor lacks.
    pub fn strides(&self, axes: &[AxisId]) -> Vec<usize> {
        let stride = |axis: &AxisId| {
            let place = self.axes.iter().position(|name| name == axis)?;
            Some(self.shape[place + 1..].iter().product())
        };
        axes.iter().map(|axis| stride(axis).unwrap_or(0)).collect()
    }

    fn offset(&self, index: &Index) -> usize {
        let mut offset = 0;
        for (axis, extent) in self.axes.iter().zip(&self.shape) {
            let position = index.get(*axis);
            assert!(position < *extent, "position {position} is outside axis {} of extent {extent}", axis.0);
            offset = offset * extent + position;
        }
        offset
    }
}

/// What a node or a buffer holds: one tensor, or one for each sample of the batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Single(Tensor),
    PerSample(Vec<Tensor>),
}

impl Value {
    /// The tensor that a sample sees.
    pub fn of_sample(&self, sample: usize) -> &Tensor {
        match self {
            Self::Single(tensor) => tensor,
            Self::PerSample(tensors) => &tensors[sample],
        }
    }

    /// All tensors: one, or one for each sample.
    pub fn tensors(&self) -> &[Tensor] {
        match self {
            Self::Single(tensor) => std::slice::from_ref(tensor),
            Self::PerSample(tensors) => tensors,
        }
    }

    /// All tensors, to be changed.
    pub fn tensors_mut(&mut self) -> &mut [Tensor] {
        match self {
            Self::Single(tensor) => std::slice::from_mut(tensor),
            Self::PerSample(tensors) => tensors,
        }
    }

    /// All elements, the samples one after another: the order of a buffer.
    pub fn flatten(&self) -> Vec<f64> {
        self.tensors().iter().flat_map(|tensor| tensor.data.iter().copied()).collect()
    }
}
