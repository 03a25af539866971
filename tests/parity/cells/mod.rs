//! Networks of cells: counts of genes as a table, aligned and encoded by the data crate, through a backbone.

pub mod aido_cell;
pub mod aido_tissue;
pub mod alignment;
pub mod geneformer;
pub mod scfoundation;
pub mod scimilarity;

use std::path::PathBuf;

use mgx_data::{InputBuilder, Table};
use mgx_ir::graph::NodeId;
use mgx_ir::plan::{Batch, InputData};
use mgx_tests::compare::Account;
use mgx_tests::golden::{Case, Tensors};
use mgx_tests::machine::{Machine, Request, Results, SCALE};
use mgx_tests::network::Network;
use mgx_tests::world::TestWorld;
use mgx_tests::{Outcome, shown};
use serde_json::Value as Json;

/// A network that reads one column of counts, and the rows of its table.
pub struct Cells {
    pub network: Network,
    pub inputs: InputBuilder,
}

/// A table of counts, a row for each cell; further columns may follow the genes.
#[derive(Clone, Debug, Default)]
pub struct CountTable {
    pub header: Vec<String>,
    pub rows: Vec<Vec<f64>>,
}

impl Cells {
    /// The column `cells`, of type `column`, of the table flows through `backbone`; `genes` stands in for the file `genes.txt` of the folder
    /// of weights, which is the case's.
    pub fn new(case: &Case, table: &CountTable, column: &str, backbone: &str, result: &str, genes: Option<&[String]>) -> Outcome<Self> {
        let name = backbone.split('(').next().unwrap_or(backbone);
        let program = format!(
            "use std::backbones::{name}\nuse std::tasks::embed\n\n\
             data rows = table(\"rows.csv\") {{\n  cells: {column}\n}}\n\n\
             experiment test {{\n  encoder = {backbone}\n  out = rows.cells |> encoder\n  task = embed({result})\n}}\n"
        );
        let mut world = TestWorld { program, header: table.header.clone(), root: case.folder.clone(), ..TestWorld::default() };
        if let Some(genes) = genes {
            world.replaced.insert("genes.txt".to_owned(), genes.join("\n"));
            world.replaced.insert("gene_names.txt".to_owned(), String::new());
        }
        let network = Network::experiment(&world, false)?;
        let inputs = table.inputs(case, &network)?;
        Ok(Self { network, inputs })
    }

    /// All rows as a batch.
    pub fn batch(&self) -> Batch {
        self.inputs.batch(&(0..self.inputs.rows()).collect::<Vec<_>>(), 0)
    }

    /// Runs all rows, packed, on the backend and on the reference evaluator; every row alone must give the same bits as packed.
    pub fn run(&self, account: &mut Account, outputs: &[(String, NodeId)]) -> Outcome<[(&'static str, Results); 2]> {
        let batch = self.batch();
        let request = Request { outputs: outputs.to_vec(), ..Request::default() };
        let machine = Machine::compile(&self.network, self.network.elaborated.graph.clone(), &request, &[&batch])?;
        let packed = machine.run(&self.network, &batch)?;
        for row in 0..self.inputs.rows() {
            let alone = machine.run(&self.network, &self.inputs.batch(&[row], 0))?;
            for (name, lists) in &packed.outputs {
                let same =
                    alone.output(name)?[0].iter().map(|value| value.to_bits()).eq(lists[row as usize].iter().map(|value| value.to_bits()));
                account.check(&format!("{name} of row {row} has other bits alone than packed"), same);
            }
        }
        let evaluated = machine.evaluate(&self.network, &batch);
        Ok([("", packed), ("the evaluator's ", evaluated)])
    }

    /// Gradients of the mean of the squares of a value, `count` elements in all, against `grad.*`.
    pub fn check_gradients(&self, account: &mut Account, case: &Case, expected: &Tensors, value: NodeId, count: usize) -> Outcome<()> {
        let (graph, loss) = mgx_tests::machine::losses::squares(self.network.elaborated.graph.clone(), value);
        let mut batch = self.batch();
        batch.inputs.insert(SCALE.to_owned(), InputData::F32(vec![(1.0 / count as f64) as f32]));
        let machine = Machine::compile(&self.network, graph, &Request { loss: Some(loss), ..Request::default() }, &[&batch])?;
        let keys: Vec<&str> = expected.below("grad.").into_iter().filter(|key| *key != "loss").collect();
        let mut largest = 0.0_f64;
        for key in &keys {
            largest = largest.max(mgx_tests::compare::norm(expected.get(&format!("grad.{key}"))?.data.iter().copied()));
        }
        for (whose, results) in [("", machine.run(&self.network, &batch)?), ("the evaluator's ", machine.evaluate(&self.network, &batch))] {
            account.close(&format!("{whose}grad.loss"), &[results.loss()?], &expected.get("grad.loss")?.data, case.tolerance);
            for key in &keys {
                let index = self.network.params.iter().position(|param| param.key == *key);
                let index = index.ok_or_else(|| format!("no parameter has the key `{key}`"))?;
                let found = results.gradients.get(&index).ok_or_else(|| format!("`{key}` has no gradient"))?;
                account.gradient(&format!("{whose}grad.{key}"), found, &expected.get(&format!("grad.{key}"))?.data, largest);
            }
        }
        Ok(())
    }
}

impl CountTable {
    /// The rows of a list of lists of a case.
    pub fn new(header: Vec<String>, rows: &Json) -> Outcome<Self> {
        let row = |row: &Json| -> Outcome<Vec<f64>> {
            let values = row.as_array().ok_or("a row is no list")?;
            values.iter().map(|value| value.as_f64().ok_or_else(|| format!("no number: {value}"))).collect()
        };
        Ok(Self { header, rows: rows.as_array().ok_or("no rows")?.iter().map(row).collect::<Outcome<_>>()? })
    }

    /// Writes the table and reads it as a run does.
    pub fn inputs(&self, case: &Case, network: &Network) -> Outcome<InputBuilder> {
        let folder: PathBuf = std::env::temp_dir().join(format!("mgx-parity-{}-{:?}", std::process::id(), std::thread::current().id()));
        let folder = folder.join(case.name.replace('/', "-"));
        let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(problem)?;
        let line = |row: &Vec<f64>| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let lines: Vec<String> = std::iter::once(self.header.join(",")).chain(self.rows.iter().map(line)).collect();
        std::fs::write(folder.join("rows.csv"), lines.join("\n")).map_err(problem)?;
        let elaborated = &network.elaborated;
        let read = || -> Result<InputBuilder, mgx_diag::Diagnostic> {
            let tables = elaborated.data.iter().map(|spec| Table::read(spec, &folder)).collect::<Result<Vec<_>, _>>()?;
            InputBuilder::new(&elaborated.tokenizers, &elaborated.lengths, &elaborated.inputs, &tables)
        };
        let inputs = read().map_err(|diagnostic| shown(&diagnostic));
        std::fs::remove_dir_all(&folder).map_err(problem)?;
        inputs
    }
}

/// Made-up names of genes, for cases that have none.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|gene| format!("GENE{gene}")).collect()
}
