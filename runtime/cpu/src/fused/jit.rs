//! Machine code for kernels: compiled in parallel, then put into executable memory.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, ModuleReloc, default_libcall_names};
use mgx_diag::Diagnostic;
use rayon::prelude::*;

use super::abi::KernelFn;
use super::emit::{self, Role, ScratchSize};
use super::space::Space;

/// The compiled functions of kernels; the code lives as long as this.
pub(crate) struct Code {
    module: Option<JITModule>,
    /// By kernel, then by function in the order of [`emit::roles`].
    pub kernels: Vec<Vec<CompiledFunction>>,
}

// SAFETY: the module is not used after compilation but to free its memory when it is dropped; finished code is only read.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

/// A function of a kernel.
#[derive(Clone, Copy)]
pub(crate) struct CompiledFunction {
    pub role: Role,
    pub call: KernelFn,
    pub scratch: ScratchSize,
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: function pointers into this memory are in `self.kernels` alone, which goes with it.
            unsafe { module.free_memory() }
        }
    }
}

struct Body {
    bytes: Vec<u8>,
    alignment: u64,
    relocations: Vec<ModuleReloc>,
    scratch: ScratchSize,
}

/// Compiles the functions of all kernels.
pub(crate) fn compile(spaces: &[Space]) -> Result<Code, Diagnostic> {
    let isa = host()?;
    let mut module = JITModule::new(JITBuilder::with_isa(isa.clone(), default_libcall_names()));
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(AbiParam::new(types::I64));
    let mut jobs: Vec<(usize, Role, FuncId)> = Vec::new();
    for (kernel, space) in spaces.iter().enumerate() {
        for role in emit::roles(space) {
            jobs.push((kernel, role, module.declare_anonymous_function(&signature).map_err(failed)?));
        }
    }
    let bodies: Vec<Result<Body, Diagnostic>> =
        jobs.par_iter().map(|(kernel, role, id)| compile_function(&spaces[*kernel], *role, *id, &isa)).collect();
    let mut scratch = Vec::with_capacity(jobs.len());
    for ((_, _, id), body) in jobs.iter().zip(bodies) {
        let body = body?;
        module.define_function_bytes(*id, body.alignment, &body.bytes, &body.relocations).map_err(failed)?;
        scratch.push(body.scratch);
    }
    module.finalize_definitions().map_err(failed)?;
    let mut kernels: Vec<Vec<CompiledFunction>> = vec![Vec::new(); spaces.len()];
    for ((kernel, role, id), scratch) in jobs.into_iter().zip(scratch) {
        let code = module.get_finalized_function(id);
        // SAFETY: the code was generated for exactly this signature.
        let call = unsafe { std::mem::transmute::<*const u8, KernelFn>(code) };
        kernels[kernel].push(CompiledFunction { role, call, scratch });
    }
    Ok(Code { module: Some(module), kernels })
}

fn compile_function(space: &Space, role: Role, id: FuncId, isa: &OwnedTargetIsa) -> Result<Body, Diagnostic> {
    let mut context = Context::new();
    let scratch = emit::build(space, role, isa.as_ref(), &mut context.func);
    let text = if cfg!(debug_assertions) { context.func.display().to_string() } else { String::new() };
    context.compile(isa.as_ref(), &mut ControlPlane::default()).map_err(|error| failed(format!("{:?}", error.inner)).note(text))?;
    let Some(code) = context.compiled_code() else { return Err(failed("a function has no code")) };
    let relocations = code.buffer.relocs().iter().map(|reloc| ModuleReloc::from_mach_reloc(reloc, &context.func, id)).collect();
    let alignment = u64::from(code.buffer.alignment).max(u64::from(isa.function_alignment().minimum)).max(isa.symbol_alignment());
    Ok(Body { bytes: code.code_buffer().to_vec(), alignment, relocations, scratch })
}

fn host() -> Result<OwnedTargetIsa, Diagnostic> {
    let mut flags = settings::builder();
    let verify = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [("opt_level", "speed"), ("use_colocated_libcalls", "false"), ("is_pic", "false"), ("enable_verifier", verify)] {
        flags.set(name, value).map_err(failed)?;
    }
    let builder = cranelift_native::builder().map_err(unknown_machine)?;
    builder.finish(settings::Flags::new(flags)).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("E0802", format!("a kernel could not be generated: {error}")).help("this is a fault of mgx: please report it")
}

fn unknown_machine(message: &str) -> Diagnostic {
    Diagnostic::error("E0801", format!("no kernels can be generated for this machine: {message}"))
        .help("mgx generates code for x86-64 and AArch64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_code_generator_says_is_passed_on() {
        let unknown = settings::builder().set("opt_level", "fastest").map_err(failed).unwrap_err();
        assert!(unknown.code.0 == "E0802" && unknown.message.contains("speed_and_size"), "{unknown:?}");
        let machine = unknown_machine("Support for this target has not been implemented yet");
        assert!(machine.code.0 == "E0801" && machine.message.ends_with("yet") && machine.help.is_some(), "{machine:?}");
    }
}
