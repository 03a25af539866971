use super::*;

fn value(kind: MetricKind, values: &[f32], width: usize, targets: Targets) -> Result<f64, Undefined> {
    Metric::new(kind, &Comparison { values, width, targets, items: None })?.value()
}

fn of_classes(kind: MetricKind, classes: &[i32], predicted: &[usize], width: usize) -> f64 {
    let mut scores = vec![0.0; classes.len() * width];
    for (sample, class) in predicted.iter().enumerate() {
        scores[sample * width + class] = 1.0;
    }
    value(kind, &scores, width, Targets::Classes(classes)).unwrap()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
}

/// Examples of scikit-learn's documentation.
#[test]
fn classification_examples() {
    let classes = [0, 1, 2, 0, 1, 2];
    let predicted = [0, 2, 1, 0, 0, 1];
    close(of_classes(MetricKind::Accuracy, &classes, &predicted, 3), 2.0 / 6.0);
    close(of_classes(MetricKind::F1, &classes, &predicted, 3), 0.8 / 3.0);
    close(of_classes(MetricKind::F1, &[0, 0, 1, 1], &[0, 1, 1, 1], 2), 0.8);
    close(of_classes(MetricKind::Mcc, &[1, 1, 1, 0], &[1, 0, 1, 1], 2), -1.0 / 3.0);
    let scores = [0.9, 0.1, 0.6, 0.4, 0.65, 0.35, 0.2, 0.8];
    let targets = Targets::Classes(&[0, 0, 1, 1]);
    close(value(MetricKind::Auroc, &scores, 2, targets).unwrap(), 0.75);
    close(value(MetricKind::Auprc, &scores, 2, targets).unwrap(), 5.0 / 6.0);
    close(value(MetricKind::Auprc, &[0.1, 0.4, 0.35, 0.8], 1, targets).unwrap(), 5.0 / 6.0);
}

#[test]
fn a_class_without_rows_and_predictions_is_left_out_of_f1() {
    close(of_classes(MetricKind::F1, &[0, 1], &[0, 1], 3), 1.0);
    close(of_classes(MetricKind::F1, &[0, 1], &[0, 2], 3), 1.0 / 3.0);
    close(of_classes(MetricKind::Mcc, &[0, 1, 2], &[0, 0, 0], 3), 0.0);
    close(of_classes(MetricKind::Mcc, &[1, 1], &[1, 1], 2), 1.0);
}

#[test]
fn ties_count_half_and_one_class_alone_is_said() {
    let scores = [0.5, 0.5, 0.5, 0.5, 0.1, 0.9];
    close(value(MetricKind::Auroc, &scores, 2, Targets::Classes(&[0, 1, 1])).unwrap(), 0.75);
    let one = value(MetricKind::Auroc, &scores[..2], 2, Targets::Classes(&[0]));
    assert_eq!(one.unwrap_err().to_string(), "all labels are of one class");
    let scores = [0.8, 0.1, 0.1, 0.2, 0.7, 0.1, 0.6, 0.3, 0.1];
    let metric =
        Metric::new(MetricKind::Auroc, &Comparison { values: &scores, width: 3, targets: Targets::Classes(&[0, 1, 0]), items: None })
            .unwrap();
    close(metric.value().unwrap(), 2.0 / 3.0);
    assert_eq!(metric.by_convention(), [2]);
}

#[test]
fn labels_are_averaged_and_shown_one_by_one() {
    let values = [0.9, 0.2, 0.6, 0.8, 0.1, 0.7];
    let targets = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let metric =
        |kind| Metric::new(kind, &Comparison { values: &values, width: 2, targets: Targets::Labels(&targets), items: None }).unwrap();
    close(metric(MetricKind::Accuracy).value().unwrap(), 5.0 / 6.0);
    let each: Vec<f64> = metric(MetricKind::F1).each().iter().map(|metric| metric.value().unwrap()).collect();
    close(each[0], 2.0 / 3.0);
    close(each[1], 1.0);
    assert_eq!(metric(MetricKind::Auroc).each().len(), 2);
}

/// Examples of scikit-learn's and SciPy's documentation.
#[test]
fn regression_examples() {
    let predictions = [2.5, 0.0, 2.0, 8.0];
    let of = |kind, predictions: &[f32], targets: &[f64]| value(kind, predictions, 1, Targets::Real(targets));
    let targets = [3.0, -0.5, 2.0, 7.0];
    close(of(MetricKind::Mse, &predictions, &targets).unwrap(), 0.375);
    close(of(MetricKind::Mae, &predictions, &targets).unwrap(), 0.5);
    close(of(MetricKind::R2, &predictions, &targets).unwrap(), 0.948_608_137_044_967_8);
    close(of(MetricKind::Pearson, &[1.0, 2.0, 3.0, 5.0, 8.0], &[0.11, 0.12, 0.13, 0.15, 0.18]).unwrap(), 1.0);
    let falling = [10.0, 9.0, 2.5, 6.0, 4.0, 3.0, 2.0];
    close(of(MetricKind::Pearson, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &falling).unwrap(), -0.828_503_883_588_428);
    close(of(MetricKind::Spearman, &[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]).unwrap(), 0.820_782_681_668_123_3);
    assert_eq!(of(MetricKind::Pearson, &[1.0, 1.0], &[1.0, 2.0]).unwrap_err().to_string(), "all predictions are equal");
    let two = value(MetricKind::Mse, &[1.0, 0.0, 1.0, 3.0], 2, Targets::Real(&[0.0, 0.0, 1.0, 0.0])).unwrap();
    close(two, f64::midpoint(0.5, 4.5));
}

#[test]
fn what_does_not_fit_is_said() {
    let values = [0.1, 0.9];
    for (kind, targets) in [
        (MetricKind::Accuracy, Targets::Classes(&[0, 1])),
        (MetricKind::Accuracy, Targets::Classes(&[2])),
        (MetricKind::Mse, Targets::Classes(&[1])),
        (MetricKind::Auroc, Targets::Real(&[1.0, 2.0])),
    ] {
        assert!(value(kind, &values, 2, targets).is_err());
    }
    assert!(value(MetricKind::Mse, &[f32::NAN], 1, Targets::Real(&[1.0])).is_err());
}

/// A weight of 2 is the sample twice, whatever the metric.
#[test]
fn weights_are_repetitions() {
    let values: Vec<f32> = (0..20).map(|item| ((item * 7 + 3) % 11) as f32 / 11.0).collect();
    let numbers: Vec<f64> = (0..20).map(|item| f64::from((item * 5 + 1) % 13)).collect();
    let flags: Vec<f64> = (0..20).map(|item| f64::from(u8::from(item % 3 == 0))).collect();
    let classes: Vec<i32> = flags.iter().map(|flag| *flag as i32).collect();
    let weights: Vec<f64> = (0..20).map(|item| f64::from(item % 4)).collect();
    let repeated = |item: usize| std::iter::repeat_n(item, weights[item] as usize);
    let order: Vec<usize> = (0..20).flat_map(repeated).collect();
    let pick = |all: &[f64]| order.iter().map(|item| all[*item]).collect::<Vec<f64>>();
    let (drawn, drawn_numbers, drawn_flags) = (order.iter().map(|item| values[*item]).collect::<Vec<f32>>(), pick(&numbers), pick(&flags));
    let drawn_classes: Vec<i32> = order.iter().map(|item| classes[*item]).collect();
    use MetricKind::{Accuracy, Auprc, Auroc, F1, Mae, Mcc, Mse, Pearson, R2, Spearman};
    for kind in [Accuracy, F1, Mcc, Auroc, Auprc, Mse, Mae, R2, Pearson, Spearman] {
        let targets = match kind {
            Mse | Mae | R2 | Pearson | Spearman => [(Targets::Real(&numbers), Targets::Real(&drawn_numbers))].to_vec(),
            _ => vec![
                (Targets::Labels(&flags), Targets::Labels(&drawn_flags)),
                (Targets::Classes(&classes), Targets::Classes(&drawn_classes)),
            ],
        };
        for (all, chosen) in targets {
            let metric = Metric::new(kind, &Comparison { values: &values, width: 1, targets: all, items: None }).unwrap();
            close(metric.weighted(&weights).unwrap(), value(kind, &drawn, 1, chosen).unwrap());
        }
    }
}

#[test]
fn intervals_hold_the_value_and_depend_on_the_seed_alone() {
    let targets: Vec<f64> = (0..200).map(|item| f64::from(item % 17)).collect();
    let values: Vec<f32> = (0..200).map(|item| (item % 17) as f32 + ((item * 31) % 7) as f32).collect();
    let comparison = Comparison { values: &values, width: 1, targets: Targets::Real(&targets), items: None };
    let metric = Metric::new(MetricKind::Pearson, &comparison).unwrap();
    let [Some([low, high])] = Resamples::new(3).intervals(&[&metric])[..] else { panic!("there is an interval") };
    let value = metric.value().unwrap();
    assert!(low < value && value < high && high - low < 0.2, "{low} {value} {high}");
    assert_eq!(Resamples::new(3).intervals(&[&metric]), [Some([low, high])]);
    assert_ne!(Resamples::new(4).intervals(&[&metric]), [Some([low, high])]);
    // Of one sample with many items nothing can be drawn.
    let whole = Metric::new(MetricKind::Mse, &Comparison { items: Some(&[200]), ..comparison }).unwrap();
    assert_eq!(Resamples::new(3).intervals(&[&whole]), [None]);
}
