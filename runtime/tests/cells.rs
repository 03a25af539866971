//! The example on blood cells: counts of genes by symbol, aligned with a list of 28,231 genes.

mod common;

use common::{compile, examples};
use mgx_runtime::{ProgressMode, RunFolder, Session, Settings};

#[test]
fn cell_types_are_learned_from_counts() {
    let folder = examples();
    let text = std::fs::read_to_string(folder.join("cells.mgx")).unwrap().replace("epochs     = 10", "epochs = 3");
    let out = tempfile::tempdir().unwrap();
    let (plan, data) = compile(&folder, &text, "blood_cells");
    let run = RunFolder::create_numbered(out.path(), &plan, &text).unwrap();
    let settings = Settings { folder, progress: ProgressMode::Quiet, ..Settings::default() };
    let mut session = Session::new(plan, data, settings).unwrap();
    session.fit(&run, false).unwrap();
    let evaluation = session.test(&run).unwrap();
    assert!(evaluation.metrics.get("accuracy").unwrap() > 0.7, "{:?}", evaluation.metrics);
    let rows = session.data().rows(mgx_data::Part::Test).unwrap().to_vec();
    let predictions = session.predict(&rows).unwrap();
    session.write_predictions(&predictions, run.path()).unwrap();
    let table = std::fs::read_to_string(run.path().join("predictions.tsv")).unwrap();
    let header = table.lines().next().unwrap();
    assert!(header.starts_with("row\tbarcode\tcell_type\t"), "{header}");
}
