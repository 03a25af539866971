//! The example on splice sites, from text to files.

mod common;

use common::{compile, events, examples};
use mgx_data::Part;
use mgx_runtime::{ProgressMode, RunFolder, Session, Settings, Source, Stop};

#[test]
fn splice_sites_are_learned_tested_and_predicted() {
    let folder = examples();
    let text = std::fs::read_to_string(folder.join("splice.mgx"))
        .unwrap()
        .replace("epochs     = 10", "epochs = 3")
        .replace("valid_loss", "valid_accuracy");
    let out = tempfile::tempdir().unwrap();
    let (plan, data) = compile(&folder, &text, "splice_sites");
    let expected = plan.memory;
    let run = RunFolder::create_numbered(out.path(), &plan, &text).unwrap();
    let settings = Settings { folder, progress: ProgressMode::Quiet, ..Settings::default() };
    let mut session = Session::new(plan, data, settings).unwrap();
    assert_eq!(session.memory(), expected);

    let report = session.fit(&run, false).unwrap();
    assert_eq!((report.stop, report.epochs, report.steps), (Stop::Finished, 3, 3 * 2549u64.div_ceil(32)));
    let best = report.best.unwrap();
    assert_eq!(best.monitor, "valid_accuracy");
    assert!(best.value > 0.8, "accuracy {} after three epochs", best.value);

    let evaluation = session.test(&run).unwrap();
    assert!(evaluation.metrics.get("accuracy").unwrap() > 0.8, "{:?}", evaluation.metrics);
    assert!(matches!(session.source(), Some(Source::Checkpoint { best: true, step, .. }) if *step == best.step));
    let rows = session.data().rows(Part::Test).unwrap().to_vec();
    let predictions = session.predict(&rows).unwrap();
    assert_eq!(predictions.outputs, evaluation.predictions.outputs, "predicting and evaluating give the same bits");
    session.write_predictions(&predictions, run.path()).unwrap();

    let kinds: Vec<String> = events(run.path()).iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "valid").count(), 3);
    assert_eq!(kinds.last().map(String::as_str), Some("test"));
    for name in ["experiment.mgx", "plan.json", "lock.json", "model.safetensors", "test.json", "predictions.parquet", "predictions.tsv"] {
        assert!(run.path().join(name).is_file(), "{name} is missing");
    }
    let table = std::fs::read_to_string(run.path().join("predictions.tsv")).unwrap();
    assert_eq!(table.lines().count(), 319);
    assert_eq!(table.lines().next(), Some("row\tlabel\tprobability.EI\tprobability.IE\tprobability.N\tpredicted"));
}
