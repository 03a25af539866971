use mgx_diag::Diagnostic;

use super::tree::Tree;

pub(super) fn with_syntax_errors(_tree: &Tree, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics
}
