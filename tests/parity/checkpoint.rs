//! A checkpoint that the reference's command line has written, taken over: every tensor under its name, and what it predicts and measures.

use std::fmt::Write;
use std::path::Path;

use mgx_compiler::check::elaborate;
use mgx_compiler::plan::build;
use mgx_data::{Part, Tokenizer};
use mgx_diag::Diagnostic;
use mgx_runtime::{Data, DataSource, ProgressMode, Session, Settings, Strictness};
use mgx_tests::Outcome;
use mgx_tests::compare::{Account, Tolerance};
use mgx_tests::golden::{Case, Tensors, strings};
use mgx_tests::network::EXPERIMENT;
use mgx_tests::shown;
use mgx_tests::world::{PROGRAM, TestWorld};

use crate::tokens::{check_masks, encode};

/// Metrics are recorded as they are printed.
const METRICS: Tolerance = Tolerance { absolute: 1e-5, relative: 1e-4 };
/// The name of a part in the program, and of its rows in the reference.
const PARTS: [&str; 2] = ["valid", "test"];

/// A case of the family.
pub fn run(case: &Case) -> Outcome<String> {
    let expected = case.tensors("expected.safetensors")?;
    let config = read(&case.folder.join("config_tsv.yaml"))?;
    let rows: Vec<Vec<(String, String)>> = PARTS.iter().map(|part| table(case, part)).collect::<Outcome<_>>()?;
    let mut account = Account::default();

    let mut labelled = session(case, &config, &rows, "classification(logits, rows.labels)")?;
    restore(&mut account, case, &expected, &mut labelled)?;
    check_metrics(&mut account, case, &mut labelled)?;

    let mut raw = session(case, &config, &rows, "embed(logits)")?;
    raw.restore(&case.folder.join("model.ckpt"), Strictness::Strict).map_err(refused)?;
    check_predictions(&mut account, case, &expected, &config, &rows[1], &mut raw)?;
    check_strictness(&mut account, case, &config, &rows)?;
    account.equal("recorded tensors that were not compared", &expected.forgotten(), &Vec::new());
    account.finish()
}

/// Loads the checkpoint; every tensor of it becomes a parameter with the same numbers.
fn restore(account: &mut Account, case: &Case, expected: &Tensors, session: &mut Session) -> Outcome<()> {
    session.restore(&case.folder.join("model.ckpt"), Strictness::Strict).map_err(refused)?;
    let report = session.restore_report().ok_or("nothing was restored")?.clone();
    let mut found: Vec<String> = report.used.iter().map(|used| used.key.clone()).collect();
    let mut recorded = strings(&case.json("expected.json")?["state_dict_keys"])?;
    found.sort();
    recorded.sort();
    account.equal("the tensors that fill a parameter", &found, &recorded);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("model.safetensors");
    session.write_params(&path).map_err(refused)?;
    let written = Tensors::read(&path)?;
    for used in &report.used {
        let (own, stored) = (written.get(&used.path)?, expected.get(&format!("state_dict.{}", used.key))?);
        account.equal(&used.key, &own.data, &stored.data);
    }
    account.equal("written parameters that were not loaded", &written.forgotten(), &Vec::new());
    Ok(())
}

/// The metrics of the validation rows when the checkpoint was written, and those of the test rows that the command line printed.
fn check_metrics(account: &mut Account, case: &Case, session: &mut Session) -> Outcome<()> {
    let valid = session.evaluate(Part::Valid).map_err(refused)?.metrics;
    let log = read(&case.folder.join("metrics.csv"))?;
    let mut lines = log.lines();
    let header: Vec<&str> = lines.next().ok_or("metrics.csv is empty")?.split(',').collect();
    let loss = header.iter().position(|name| *name == "val_loss").ok_or("no val_loss was recorded")?;
    let losses = |line: &&str| line.split(',').nth(loss).and_then(|value| value.parse::<f64>().ok());
    // The checkpoint is the one with the least validation loss.
    let best =
        lines.filter(|line| losses(line).is_some()).min_by(|a, b| losses(a).unwrap_or(f64::NAN).total_cmp(&losses(b).unwrap_or(f64::NAN)));
    for (name, value) in header.iter().zip(best.ok_or("no evaluation was recorded")?.split(',')) {
        let Some(name) = name.strip_prefix("val_") else { continue };
        compare(account, &format!("valid {name}"), valid.get(name), value)?;
    }
    let test = session.evaluate(Part::Test).map_err(refused)?.metrics;
    let printed = read(&case.folder.join("test_tsv.stdout.txt"))?;
    let mut count = 0;
    for line in printed.lines() {
        let (Some(name), Some(value)) =
            (line.split_whitespace().next().and_then(|name| name.strip_prefix("test_")), line.split_whitespace().nth(1))
        else {
            continue;
        };
        count += 1;
        compare(account, &format!("test {name}"), test.get(name), value)?;
    }
    account.check("metrics of the test rows were printed", count > 3);
    Ok(())
}

fn compare(account: &mut Account, what: &str, found: Option<f64>, recorded: &str) -> Outcome<()> {
    let recorded: f64 = recorded.parse().map_err(|_| format!("{what}: no number: {recorded}"))?;
    account.close(what, &[found.ok_or_else(|| format!("{what} is not measured"))?], &[recorded], METRICS);
    Ok(())
}

/// The tokens and logits of every recorded batch, and those of the written table, whose rows stand in the order of the batches' files.
fn check_predictions(
    account: &mut Account,
    case: &Case,
    expected: &Tensors,
    config: &str,
    rows: &[(String, String)],
    session: &mut Session,
) -> Outcome<()> {
    let of_part = session.data().split().test.clone();
    let found = session.predict(&of_part).map_err(refused)?.outputs.remove(0).rows;
    let logits = |row: usize| found.get(row).map(|values| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
    let tokenizer = Tokenizer::new(&session.plan().tokenizers[0]).map_err(refused)?;
    let limit = setting(config, "max_length")?.parse().map_err(|_| "max_length is no number")?;
    let mut seen = 0;
    for batch in 0.. {
        let Some(uid) = expected.find(&format!("predict.b{batch}.uid")) else { break };
        let places: Vec<usize> = uid.data.iter().map(|row| *row as usize).collect();
        let texts: Vec<String> = places.iter().map(|row| rows[*row].0.clone()).collect();
        check_masks(account, expected, &format!("predict.b{batch}"), &encode(&tokenizer, &texts, Some(limit), true)?)?;
        let labels: Vec<f64> = places.iter().map(|row| rows[*row].1.parse().unwrap_or(f64::NAN)).collect();
        account.equal(&format!("labels of batch {batch}"), &labels, &expected.get(&format!("predict.b{batch}.labels"))?.data);
        let own: Vec<f64> = places.iter().flat_map(|row| logits(*row).unwrap_or_default()).collect();
        account.close(
            &format!("logits of batch {batch}"),
            &own,
            &expected.get(&format!("predict.b{batch}.predictions"))?.data,
            case.tolerance,
        );
        seen += places.len();
    }
    account.equal("predicted rows", &seen, &rows.len());
    let written = read(&case.folder.join("predictions_tsv/predict_predictions.tsv"))?;
    let mut uids = Vec::new();
    for line in written.lines().skip(1) {
        let [uid, sequence, label, values] = line.split('\t').collect::<Vec<_>>()[..] else { return Err(format!("no row: {line}")) };
        let row: usize = uid.parse().map_err(|_| format!("no uid: {uid}"))?;
        account.equal(&format!("row {row}"), &(sequence, label), &(rows[row].0.as_str(), rows[row].1.as_str()));
        let values: Vec<f64> = serde_json::from_str(values).map_err(|error| format!("no list: {values}: {error}"))?;
        account.close(&format!("written logits of row {row}"), &logits(row).unwrap_or_default(), &values, case.tolerance);
        uids.push(row);
    }
    uids.sort_unstable();
    account.equal("written rows", &uids, &(0..rows.len()).collect());
    Ok(())
}

/// A network with other outputs does not take it, but all of the encoder where that is wanted.
fn check_strictness(account: &mut Account, case: &Case, config: &str, rows: &[Vec<(String, String)>]) -> Outcome<()> {
    let path = case.folder.join("model.ckpt");
    let hidden = hidden_sizes(config)?;
    let wider: Vec<u64> = hidden.iter().map(|size| size + 1).collect();
    let mut other = session_with(case, config, rows, "embed(logits)", &wider)?;
    let strict = other.restore(&path, Strictness::Strict).err().map(|diagnostic| diagnostic.code.0);
    account.equal("loading into another adapter", &strict, &Some("E0954"));
    other.restore(&path, Strictness::Relaxed).map_err(refused)?;
    let report = other.restore_report().ok_or("nothing was restored")?;
    account.check("the encoder is loaded", report.used.iter().any(|used| used.key.starts_with("backbone.encoder.")));
    account.check(
        "the adapter does not fit",
        !report.misshapen.is_empty() && report.misshapen.iter().all(|found| found.key.starts_with("adapter.")),
    );
    account.check("nothing is missing or not expected", report.missing.is_empty() && report.unexpected.is_empty());
    Ok(())
}

fn session(case: &Case, config: &str, rows: &[Vec<(String, String)>], task: &str) -> Outcome<Session> {
    session_with(case, config, rows, task, &hidden_sizes(config)?)
}

/// The network of the case, with these hidden sizes of its adapter, and a task; the rows are in a table that says each one's part.
fn session_with(case: &Case, config: &str, rows: &[Vec<(String, String)>], task: &str, hidden: &[u64]) -> Outcome<Session> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut text = String::from("sequences\tlabels\tpart\n");
    for (part, rows) in PARTS.iter().zip(rows) {
        rows.iter().for_each(|(sequence, label)| {
            let _ = writeln!(text, "{sequence}\t{label}\t{part}");
        });
    }
    std::fs::write(folder.path().join("rows.tsv"), text).map_err(|error| error.to_string())?;
    let world = TestWorld {
        program: program(case, config, task, hidden)?,
        header: ["sequences", "labels", "part"].map(str::to_owned).to_vec(),
        root: case.folder.clone(),
        ..TestWorld::default()
    };
    let experiment =
        elaborate(&world, PROGRAM, &[], EXPERIMENT, false).map_err(|(sources, found)| mgx_diag::render(&found, &sources, false))?;
    let source = DataSource {
        data: &experiment.data,
        tokenizers: &experiment.tokenizers,
        lengths: &experiment.lengths,
        inputs: &experiment.inputs,
        folder: folder.path(),
        labels: true,
    };
    let data = Data::read(&source).map_err(refused)?;
    let plan = build(&experiment, None, &data.capacity(experiment.batch)).map_err(refused)?;
    Session::new(plan, data, Settings { progress: ProgressMode::Quiet, ..Settings::default() }).map_err(refused)
}

fn program(case: &Case, config: &str, task: &str, hidden: &[u64]) -> Outcome<String> {
    for (key, known) in
        [("class_path: modelgenerator.tasks", "SequenceClassification"), ("class_path: modelgenerator.backbones", "aido_dna_debug")]
    {
        account_for(config, key, known)?;
    }
    account_for(config, "class_path: modelgenerator.adapters", "MLPPoolAdapter")?;
    let pooling = match setting(config, "pooling")? {
        "mean_pooling" => "mean",
        "cls_pooling" => "cls",
        other => return Err(format!("the pooling {other} is not known")),
    };
    let classes = case.spec["n_classes"].as_u64().ok_or("the case has no classes")?;
    let names: Vec<String> = (0..classes).map(|class| format!("\"{class}\"")).collect();
    let (length, dropout) = (setting(config, "max_length")?, setting(config, "dropout")?);
    Ok(format!(
        "use std::adapters::mlp_pool\nuse std::backbones::aido_dna_debug\nuse std::tasks::{{classification, embed}}\n\n\
         data rows = table(\"rows.tsv\") {{\n  sequences: dna\n  labels: class({})\n  split = column(\"part\")\n}}\n\n\
         experiment {EXPERIMENT} {{\n  encoder = aido_dna_debug(max_length = {length})\n  \
         logits = rows.sequences |> encoder |> mlp_pool(outputs = {classes}, hidden = {hidden:?}, pooling = {pooling}, dropout_rate = {dropout})\n  \
         task = {task}\n}}\n",
        names.join(", "),
    ))
}

/// Something else than what the program says would be another case.
fn account_for(config: &str, key: &str, known: &str) -> Outcome<()> {
    let wanted = format!("{key}.{known}");
    if config.lines().any(|line| line.trim() == wanted) { Ok(()) } else { Err(format!("the configuration has no `{wanted}`")) }
}

/// The value of a key, wherever it stands.
fn setting<'c>(config: &'c str, key: &str) -> Outcome<&'c str> {
    let value = |line: &'c str| line.trim().strip_prefix(key)?.strip_prefix(':').map(str::trim);
    config.lines().find_map(value).ok_or_else(|| format!("the configuration has no `{key}`"))
}

/// The list below `hidden_sizes`.
fn hidden_sizes(config: &str) -> Outcome<Vec<u64>> {
    let below = config.lines().skip_while(|line| line.trim() != "hidden_sizes:").skip(1);
    let items = below.map_while(|line| line.trim().strip_prefix("- "));
    items.map(|item| item.parse().map_err(|_| format!("no size: {item}"))).collect()
}

/// The sequences and labels of a part.
fn table(case: &Case, part: &str) -> Outcome<Vec<(String, String)>> {
    let text = read(&case.folder.join(format!("data/{part}.tsv")))?;
    let row = |line: &str| line.split_once('\t').map(|(sequence, label)| (sequence.to_owned(), label.to_owned()));
    text.lines().skip(1).map(|line| row(line).ok_or_else(|| format!("no row: {line}"))).collect()
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn refused(diagnostic: Diagnostic) -> String {
    shown(&diagnostic)
}
