//! A trie over characters, for longest matches.

use std::collections::HashMap;

#[derive(Clone, Debug)]
pub(super) struct Trie {
    edges: HashMap<(u32, char), u32>,
    /// By node; the root is node 0.
    ids: Vec<Option<i32>>,
    has_children: Vec<bool>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { edges: HashMap::new(), ids: vec![None], has_children: vec![false] }
    }
}

impl Trie {
    /// Adds an entry; a later one takes the place of an equal earlier one. The empty text is no entry.
    pub fn insert(&mut self, text: &str, id: i32) {
        let mut node = 0;
        for character in text.chars() {
            let next = self.ids.len() as u32;
            let child = *self.edges.entry((node, character)).or_insert(next);
            if child == next {
                self.ids.push(None);
                self.has_children.push(false);
                self.has_children[node as usize] = true;
            }
            node = child;
        }
        if node != 0 {
            self.ids[node as usize] = Some(id);
        }
    }

    /// What begins with this character: `None` for nothing; otherwise the id of the entry that is this one character, and whether there
    /// are longer entries.
    pub fn first(&self, character: char) -> Option<(Option<i32>, bool)> {
        let node = *self.edges.get(&(0, character))? as usize;
        Some((self.ids[node], self.has_children[node]))
    }

    /// The longest entry that the characters begin with: its id and its number of characters.
    pub fn longest(&self, characters: impl Iterator<Item = char>) -> Option<(i32, usize)> {
        let mut node = 0;
        let mut best = None;
        for (count, character) in characters.enumerate() {
            match self.edges.get(&(node, character)) {
                Some(child) => node = *child,
                None => break,
            }
            if let Some(id) = self.ids[node as usize] {
                best = Some((id, count + 1));
            }
        }
        best
    }
}
