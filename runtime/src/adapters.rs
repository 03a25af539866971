//! What was trained beside a frozen network, in the layout of the PEFT library: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;
use mgx_ir::plan::{AdapterSpec, ParamSpec};
use mgx_weights::write_atomically;
use serde_json::{Map, Value, json};

use crate::memory::fault;
use crate::params;
use crate::session::Session;

/// The folder of a run's adapters.
const ADAPTERS: &str = "adapters";
const CONFIG: &str = "adapter_config.json";
const MODEL: &str = "adapter_model.safetensors";
/// Where PEFT holds the network that it wraps.
const WRAPPED: &str = "base_model.model.";

impl Session {
    /// Writes each adapter that PEFT has a name for into a folder of its own below `folder/adapters`, called as the network in the program. Gives these folders.
    ///
    /// # Errors
    /// E0920 to E0923, E0955.
    pub fn write_adapters(&self, folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
        let mut written: Vec<PathBuf> = Vec::new();
        for (number, adapter) in self.plan.adapters.iter().enumerate() {
            let Some(config) = &adapter.config else { continue };
            let names = std::iter::once(adapter.root.clone()).chain((2u64..).map(|count| format!("{}_{count}", adapter.root)));
            let mut folders = names.map(|name| folder.join(ADAPTERS).join(name));
            let Some(folder) = folders.find(|folder| !written.contains(folder)) else { continue };
            std::fs::create_dir_all(&folder).map_err(|error| crate::run::cannot_write(&folder, &error))?;
            let config = self.adapter_config(adapter, config)?;
            write_atomically(&folder.join(CONFIG), |writer| {
                serde_json::to_writer_pretty(&mut *writer, &config)?;
                writeln!(writer)
            })?;
            let memory: &[u8] = &self.memory.params;
            let own = self.plan.params.iter().filter(|param| param.adapter == Some(number as u32));
            let tensors = own.map(|param| (param, format!("{WRAPPED}{}", param.key), memory));
            params::write(&folder.join(MODEL), tensors, &BTreeMap::from([("format".to_owned(), "pt".to_owned())]))?;
            written.push(folder);
        }
        Ok(written)
    }

    /// The configuration with what PEFT asks for besides the rewrite's own: the network that the adapter is for.
    fn adapter_config(&self, adapter: &AdapterSpec, config: &str) -> Result<Value, Diagnostic> {
        let mut config: Map<String, Value> =
            serde_json::from_str(config).map_err(|error| fault(format_args!("the configuration of an adapter is not JSON: {error}")))?;
        let is_base = |param: &&ParamSpec| param.adapter.is_none() && param.path.starts_with(&format!("{}.", adapter.root));
        let base = self.plan.params.iter().find(is_base).and_then(|param| self.plan.weights.get(param.weights? as usize));
        let name = base.map(|weights| weights.folder.strip_prefix("hub://").unwrap_or(&weights.folder));
        config.insert("base_model_name_or_path".to_owned(), json!(name));
        config.insert("task_type".to_owned(), Value::Null);
        config.insert("inference_mode".to_owned(), Value::Bool(true));
        Ok(Value::Object(config))
    }
}
