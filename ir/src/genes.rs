//! Names of genes: which entry of a gene list a name means. The checker asks for headers, the runtime for what it reads.

use std::collections::HashMap;

use crate::plan::{TokenizerKind, TokenizerSpec};

/// The entries of a gene list by all their names.
#[derive(Clone, Debug, Default)]
pub struct GeneNames {
    ids: HashMap<String, u32>,
}

impl GeneNames {
    /// The list of a tokenizer. An entry's own name counts before another's second name, and of equal names the first.
    pub fn new(spec: &TokenizerSpec) -> Self {
        let others: &[String] = if let TokenizerKind::Genes { names, .. } = &spec.kind { names } else { &[] };
        let mut ids = HashMap::with_capacity(spec.vocabulary.len() + others.len());
        for (id, name) in (0..).zip(&spec.vocabulary).chain((0..).zip(others)) {
            if !name.is_empty() {
                ids.entry(name.clone()).or_insert(id);
            }
        }
        Self { ids }
    }

    /// The entry that a name means. The version of an Ensembl identifier (`ENSG00000139618.15`) is not looked at.
    pub fn find(&self, name: &str) -> Option<u32> {
        let name = name.trim();
        let found = self.ids.get(name);
        let found = found.or_else(|| name.starts_with("ENS").then(|| self.ids.get(name.split_once('.')?.0)).flatten());
        found.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Casing, GeneOrder};

    #[test]
    fn names_are_found_by_precedence() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let spec = TokenizerSpec {
            name: "genes".to_owned(),
            kind: TokenizerKind::Genes { order: GeneOrder::All, names: list(&["", "B", "ENSG2", "ENSG2"]), normalized: false },
            casing: Casing::Keep,
            replace: Vec::new(),
            vocabulary: list(&["<cls>", "A", "B", "C"]),
            special: Vec::new(),
            prefix: vec![0],
            suffix: Vec::new(),
        };
        let names = GeneNames::new(&spec);
        assert_eq!(names.find("B"), Some(2), "its own name, not the second name of A");
        assert_eq!(names.find("ENSG2.11"), Some(2));
        assert_eq!(names.find("b"), None);
    }
}
