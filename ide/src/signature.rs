//! What the call around a place takes.

use mgx_compiler::check::ItemRef;

use crate::Program;
use crate::cursor::{Cursor, Frame};
use crate::options::{common_options, params};

/// A call's options, with the one at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `mlp_pool(hidden: [dim] = [128], outputs: dim)`.
    pub label: String,
    /// Bytes of the label that each option takes.
    pub options: Vec<(u32, u32)>,
    pub active: Option<u32>,
    pub doc: Option<String>,
}

/// The innermost call around an offset of the file whose options are known.
pub fn signature(program: &Program<'_>, offset: u32) -> Option<Signature> {
    let cursor = Cursor::at(program.text(), offset);
    for frame in cursor.frames.iter().rev() {
        match frame {
            Frame::Call { callee, argument, position, is_piped } => {
                let item = program.analysis.lookup(program.file, callee)?;
                return of_call(program, item, argument.as_deref(), *position + usize::from(*is_piped && takes_input(program, item)));
            }
            Frame::Block { .. } => return None,
            Frame::List | Frame::Index => {}
        }
    }
    None
}

/// Does what flows in through a pipe fill the first parameter? Of a function it does; parts take it in their `forward`.
fn takes_input(program: &Program<'_>, item: ItemRef) -> bool {
    matches!(program.analysis.item(item).kind, mgx_compiler::syntax::ast::ItemKind::Function(_))
}

fn of_call(program: &Program<'_>, item: ItemRef, argument: Option<&str>, position: usize) -> Option<Signature> {
    let declared = program.analysis.item(item);
    let mut label = format!("{}(", declared.name.text);
    let (mut options, mut names) = (Vec::new(), Vec::new());
    let mut add = |name: &str, text: &str| {
        if !options.is_empty() {
            label.push_str(", ");
        }
        let start = label.len() as u32;
        label.push_str(text);
        options.push((start, label.len() as u32));
        names.push(name.to_owned());
    };
    for param in params(program, item) {
        add(&param.name.text, &param_text(program, param));
    }
    for (name, ty) in common_options(program, item) {
        add(name, &format!("{name}: {ty}"));
    }
    label.push(')');
    let active = match argument {
        Some(argument) => names.iter().position(|name| name == argument),
        None => Some(position).filter(|position| *position < options.len()),
    };
    Some(Signature { label, options, active: active.map(|active| active as u32), doc: declared.doc.clone() })
}

/// `rank: dim = 16`.
pub fn param_text(program: &Program<'_>, param: &mgx_compiler::syntax::ast::Param) -> String {
    let mut text = param.name.text.clone();
    if let Some(ty) = &param.ty {
        text.push_str(&format!(": {}", program.slice(ty.span)));
    }
    if let Some(default) = &param.default {
        text.push_str(&format!(" = {}", program.slice(default.span)));
    }
    text
}
