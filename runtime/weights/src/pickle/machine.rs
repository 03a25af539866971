//! The stack machine.
//!
//! Values live in one list and refer to each other by [`Id`], so that sharing costs nothing and a cycle can do no harm here; who walks
//! the values ([`flatten`](super::flatten)) bounds the walk. A budget counts every element ever stored.

use std::collections::HashMap;

use mgx_diag::Diagnostic;

use super::opcode as op;
use super::reader::Reader;
use super::value::{Global, Id, Node, RawTensor, Storage, Stranger};
use super::{MAX_PICKLE_BYTES, Place};

/// Most values and elements of containers that one pickle may make: 20 for each of 200 000 tensors.
const MAX_NODES: usize = 4_000_000;

/// Runs one pickle.
pub(crate) struct Machine<'a> {
    file: &'a str,
    reader: Reader<'a>,
    /// Where the operation that runs began.
    at: usize,
    stack: Vec<Id>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    spent: usize,
    pub(super) built: Pickled<'a>,
}

/// What a pickle built.
#[derive(Debug, Default)]
pub(crate) struct Pickled<'a> {
    pub nodes: Vec<Node<'a>>,
    pub storages: Vec<Storage<'a>>,
    pub(super) storage_by_key: HashMap<&'a str, usize>,
    pub tensors: Vec<RawTensor>,
    strangers: Vec<Stranger<'a>>,
    /// The result; none only while it runs.
    root: Option<Id>,
    /// The byte after the pickle's end.
    pub end: usize,
}

impl<'a> Pickled<'a> {
    /// The value with this id.
    pub fn node(&self, id: Id) -> &Node<'a> {
        // Ids are made by `Machine::push` alone and never removed; the fallback is for the type checker.
        self.nodes.get(id.0 as usize).unwrap_or(&Node::None)
    }

    /// `E0906` for an object of a name that is not on the list.
    pub fn refused(&self, file: &str, stranger: usize) -> Diagnostic {
        let (what, at) = self
            .strangers
            .get(stranger)
            .map_or((String::from("an object"), self.end), |found| (format!("`{}.{}`", shown(found.module), shown(found.name)), found.at));
        Place { file, at }.refused(&what)
    }

    /// The result.
    pub fn root(&self) -> &Node<'a> {
        self.root.map_or(&Node::None, |id| self.node(id))
    }
}

impl<'a> Machine<'a> {
    /// Runs the pickle that begins at byte `start`. `file` is for messages.
    pub fn run(file: &'a str, bytes: &'a [u8], start: usize) -> Result<Pickled<'a>, Diagnostic> {
        let bytes = &bytes[..bytes.len().min(start.saturating_add(MAX_PICKLE_BYTES))];
        let mut machine = Self {
            file,
            reader: Reader::new(bytes, start),
            at: start,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            spent: 0,
            built: Pickled::default(),
        };
        loop {
            machine.at = machine.reader.position;
            let code = machine.need(|reader| reader.u8())?;
            if code == op::STOP {
                machine.built.root = Some(machine.pop()?);
                machine.built.end = machine.reader.position;
                return Ok(machine.built);
            }
            machine.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Result<(), Diagnostic> {
        match code {
            op::PROTO => self.protocol(),
            op::FRAME => self.need(|reader| reader.u64()).map(|_| ()),
            op::MARK => {
                self.spend(1)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.discard(),
            op::POP_MARK => self.pop_to_mark().map(|_| ()),
            op::DUP => {
                let top = self.top()?;
                self.push_id(top)
            }
            op::BUILD => self.build(),
            op::REDUCE => self.reduce(),
            op::NEWOBJ | op::NEWOBJ_EX => self.instance(code),
            op::BINPERSID => self.persistent(),
            op::GLOBAL | op::STACK_GLOBAL => self.global(code),
            op::PUT | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.remember(code),
            op::GET | op::BINGET | op::LONG_BINGET => self.recall(code),
            op::APPEND | op::APPENDS | op::SETITEM | op::SETITEMS => self.fill(code),
            op::EMPTY_TUPLE | op::TUPLE | op::TUPLE1 | op::TUPLE2 | op::TUPLE3 | op::EMPTY_LIST | op::LIST | op::EMPTY_DICT | op::DICT => {
                self.container(code)
            }
            _ => self.scalar(code),
        }
    }

    fn protocol(&mut self) -> Result<(), Diagnostic> {
        match self.need(|reader| reader.u8())? {
            0..=5 => Ok(()),
            other => Err(self.place().refused(&format!("pickle protocol {other}"))),
        }
    }

    /// Numbers, text, bytes and constants.
    fn scalar(&mut self, code: u8) -> Result<(), Diagnostic> {
        let node = match code {
            op::NONE => Node::None,
            op::NEWTRUE => Node::Bool(true),
            op::NEWFALSE => Node::Bool(false),
            op::BININT => Node::Int(i64::from(self.need(|reader| reader.i32())?)),
            op::BININT1 => Node::Int(i64::from(self.need(|reader| reader.u8())?)),
            op::BININT2 => Node::Int(i64::from(self.need(|reader| reader.u16())?)),
            op::INT => match self.need(|reader| reader.line())? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                line => Node::Int(line.parse().map_err(|_| self.place().malformed("a number that is none"))?),
            },
            op::LONG1 => integer(self.need(|reader| reader.counted(1))?),
            op::LONG4 => integer(self.need(|reader| reader.counted(4))?),
            op::BINFLOAT => Node::Float(f64::from_be_bytes(self.need(|reader| reader.array::<8>())?)),
            op::FLOAT => self.need(|reader| reader.line()).map(|_| Node::Opaque)?,
            op::BINUNICODE => Node::Text(self.need(|reader| reader.text(4))?),
            op::SHORT_BINUNICODE => Node::Text(self.need(|reader| reader.text(1))?),
            op::BINUNICODE8 => Node::Text(self.need(|reader| reader.text(8))?),
            // Strings of Python 2, in which old checkpoints have their keys; other bytes than text can be no key.
            op::BINSTRING | op::SHORT_BINSTRING => {
                let width = if code == op::BINSTRING { 4 } else { 1 };
                let bytes = self.need(|reader| reader.counted(width))?;
                std::str::from_utf8(bytes).map_or(Node::Opaque, Node::Text)
            }
            op::BINBYTES => self.need(|reader| reader.counted(4)).map(|_| Node::Opaque)?,
            op::SHORT_BINBYTES => self.need(|reader| reader.counted(1)).map(|_| Node::Opaque)?,
            op::BINBYTES8 => self.need(|reader| reader.counted(8)).map(|_| Node::Opaque)?,
            other => {
                return Err(match op::refused_name(other) {
                    Some(name) => self.place().refused(&format!("operation {name}")),
                    None => self.place().malformed(&format!("0x{other:02x} is no operation")),
                });
            }
        };
        self.push(node)
    }

    fn container(&mut self, code: u8) -> Result<(), Diagnostic> {
        let node = match code {
            op::EMPTY_TUPLE => Node::Tuple(Vec::new()),
            op::EMPTY_LIST => Node::List(Vec::new()),
            op::EMPTY_DICT => Node::Dict(Vec::new()),
            op::TUPLE1 => Node::Tuple(self.pop_many(1)?),
            op::TUPLE2 => Node::Tuple(self.pop_many(2)?),
            op::TUPLE3 => Node::Tuple(self.pop_many(3)?),
            op::TUPLE => Node::Tuple(self.pop_to_mark()?),
            op::LIST => Node::List(self.pop_to_mark()?),
            _ => Node::Dict(self.pop_pairs()?),
        };
        self.push(node)
    }

    /// APPEND, APPENDS, SETITEM, SETITEMS: fills the container below.
    fn fill(&mut self, code: u8) -> Result<(), Diagnostic> {
        let place = self.place();
        let (items, pairs) = match code {
            op::APPEND => (self.pop_many(1)?, Vec::new()),
            op::APPENDS => (self.pop_to_mark()?, Vec::new()),
            op::SETITEM => (Vec::new(), as_pairs(&self.pop_many(2)?)),
            _ => (Vec::new(), self.pop_pairs()?),
        };
        let target = self.top()?;
        match (self.built.nodes.get_mut(target.0 as usize), code) {
            (Some(Node::List(list)), op::APPEND | op::APPENDS) => list.extend(items),
            (Some(Node::Dict(dict)), op::SETITEM | op::SETITEMS) => dict.extend(pairs),
            (Some(Node::Stranger(_)), _) => {}
            _ => return Err(place.malformed("an item for something that is no container")),
        }
        Ok(())
    }

    /// NEWOBJ, NEWOBJ_EX: an instance, which only strangers are.
    fn instance(&mut self, code: u8) -> Result<(), Diagnostic> {
        self.pop_many(if code == op::NEWOBJ { 1 } else { 2 })?;
        let class = self.pop()?;
        match self.built.node(class) {
            Node::Stranger(_) => self.push_id(class),
            _ => Err(self.place().refused("operation NEWOBJ (make an instance)")),
        }
    }

    /// BUILD sets attributes of the object below. Only dictionaries have any (`_metadata` of a state dict), and strangers; nothing needs them.
    fn build(&mut self) -> Result<(), Diagnostic> {
        self.pop()?;
        let target = self.top()?;
        match self.built.node(target) {
            Node::Dict(_) | Node::Stranger(_) => Ok(()),
            _ => Err(self.place().refused("attributes of something that is no dictionary")),
        }
    }

    fn global(&mut self, code: u8) -> Result<(), Diagnostic> {
        let (module, name) = if code == op::GLOBAL {
            (self.need(|reader| reader.line())?, self.need(|reader| reader.line())?)
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            match (self.built.node(module), self.built.node(name)) {
                (Node::Text(module), Node::Text(name)) => (*module, *name),
                _ => return Err(self.place().malformed("a name that is no text")),
            }
        };
        match Global::find(module, name) {
            Some(global) => self.push(Node::Global(global)),
            None => {
                self.spend(1)?;
                self.built.strangers.push(Stranger { module, name, at: self.at });
                self.push(Node::Stranger(self.built.strangers.len() - 1))
            }
        }
    }

    fn remember(&mut self, code: u8) -> Result<(), Diagnostic> {
        let slot = match code {
            op::BINPUT => u32::from(self.need(|reader| reader.u8())?),
            op::LONG_BINPUT => self.need(|reader| reader.u32())?,
            op::PUT => self.slot_of_line()?,
            // As many slots as values remembered so far; the budget keeps that below 2³².
            _ => self.memo.len() as u32,
        };
        let top = self.top()?;
        self.spend(1)?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Result<(), Diagnostic> {
        let slot = match code {
            op::BINGET => u32::from(self.need(|reader| reader.u8())?),
            op::LONG_BINGET => self.need(|reader| reader.u32())?,
            _ => self.slot_of_line()?,
        };
        match self.memo.get(&slot) {
            Some(id) => self.push_id(*id),
            None => Err(self.place().malformed(&format!("nothing is remembered as {slot}"))),
        }
    }

    fn slot_of_line(&mut self) -> Result<u32, Diagnostic> {
        let line = self.need(|reader| reader.line())?;
        line.parse().map_err(|_| self.place().malformed("a number that is none"))
    }

    pub(super) fn place(&self) -> Place<'a> {
        Place { file: self.file, at: self.at }
    }

    /// Reads, or says that the pickle ends too early (or holds text that is not UTF-8).
    fn need<T>(&mut self, read: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Result<T, Diagnostic> {
        read(&mut self.reader).ok_or_else(|| self.place().malformed("it ends too early or holds text that is not UTF-8"))
    }

    /// Counts `elements` against the budget.
    pub(super) fn spend(&mut self, elements: usize) -> Result<(), Diagnostic> {
        self.spent = self.spent.saturating_add(elements);
        if self.spent > MAX_NODES {
            return Err(self.place().too_large(&format!("more than {MAX_NODES} values")));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, node: Node<'a>) -> Result<(), Diagnostic> {
        self.spend(1)?;
        // The budget keeps the number of nodes below 2³².
        let id = Id(self.built.nodes.len() as u32);
        self.built.nodes.push(node);
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Result<(), Diagnostic> {
        self.spend(1)?;
        self.stack.push(id);
        Ok(())
    }

    /// The height that the innermost mark protects.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Diagnostic> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => Err(self.place().malformed("the stack is empty")),
        }
    }

    pub(super) fn pop(&mut self) -> Result<Id, Diagnostic> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// POP takes a mark if that is on top.
    fn discard(&mut self) -> Result<(), Diagnostic> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, Diagnostic> {
        if self.stack.len() - self.floor() < count {
            return Err(self.place().malformed("the stack is empty"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Diagnostic> {
        match self.marks.pop() {
            // The stack never falls below its innermost mark.
            Some(mark) => Ok(self.stack.split_off(mark.min(self.stack.len()))),
            None => Err(self.place().malformed("there is no mark")),
        }
    }

    fn pop_pairs(&mut self) -> Result<Vec<(Id, Id)>, Diagnostic> {
        let items = self.pop_to_mark()?;
        if !items.len().is_multiple_of(2) {
            return Err(self.place().malformed("a key without a value"));
        }
        Ok(as_pairs(&items))
    }
}

fn as_pairs(items: &[Id]) -> Vec<(Id, Id)> {
    let (pairs, _) = items.as_chunks::<2>();
    pairs.iter().map(|[key, value]| (*key, *value)).collect()
}

/// A little-endian two's complement integer.
fn integer(bytes: &[u8]) -> Node<'_> {
    if bytes.len() > 8 {
        return Node::BigInt(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}

/// A name from a file, cut and escaped so that it can be shown.
fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_debug).collect()
}
