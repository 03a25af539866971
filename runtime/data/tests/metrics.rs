//! Metrics agree with the reference's (torchmetrics) on recorded predictions.

use mgx_data::{Comparison, Metric, Targets};
use mgx_ir::plan::MetricKind;
use serde_json::Value;

const FIXTURE: &str = include_str!("fixtures/metrics.json");

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn metric(kind: MetricKind, values: &[f32], width: usize, targets: Targets) -> f64 {
    Metric::new(kind, &Comparison { values, width, targets, items: None }).unwrap().value().unwrap()
}

#[test]
fn agrees_with_recorded_metrics() {
    let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
    for case in &cases {
        let predictions: Vec<f32> = numbers(&case["predictions"]).iter().map(|number| *number as f32).collect();
        let width = case["width"].as_u64().unwrap() as usize;
        for (name, expected) in case["expected"].as_object().unwrap() {
            let kind = match name.as_str() {
                "accuracy" => MetricKind::Accuracy,
                "f1" => MetricKind::F1,
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
                metric(kind, &predictions, width, Targets::Real(&numbers(&case["real"])))
            } else {
                let classes: Vec<i32> = numbers(&case["classes"]).iter().map(|class| *class as i32).collect();
                metric(kind, &predictions, width, Targets::Classes(&classes))
            };
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() < 2e-6, "{} {name}: {found} for {expected}", case["name"]);
        }
    }
}
