//! What makes two plans the same experiment, and where two differ.

use std::collections::BTreeSet;
use std::io::Write;

use mgx_ir::plan::{Plan, Program};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 (64 hexadecimal digits) of the plan in JSON without the places it came from: a comment added to the program changes nothing.
pub(crate) fn identity(plan: &Plan) -> String {
    let mut plan = plan.clone();
    for group in plan.optimizer.iter_mut().flat_map(|optimizer| &mut optimizer.later) {
        forget_places(&mut group.update);
        forget_places(&mut group.norm);
    }
    let optimizer = plan.optimizer.iter_mut().flat_map(|optimizer| [&mut optimizer.update, &mut optimizer.norm]);
    let frozen = plan.frozen.iter_mut().map(|frozen| &mut frozen.program);
    for program in
        plan.gradient.iter_mut().chain(&mut plan.evaluate).chain([&mut plan.predict]).chain(&mut plan.start).chain(frozen).chain(optimizer)
    {
        forget_places(program);
    }
    if let Some(train) = &mut plan.train {
        train.loss_span = None;
        train.schedule.nodes.iter_mut().for_each(|node| node.spans.clear());
    }
    let mut hasher = Hasher(Sha256::new());
    // Writing to a hasher does not fail, and a plan has nothing that JSON cannot take.
    let _ = serde_json::to_writer(&mut hasher, &plan);
    hasher.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn forget_places(program: &mut Program) {
    for step in &mut program.steps {
        step.spans.clear();
    }
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where two plans in JSON differ, in the words of the plan (`train.learning_rate: 0.001, now 0.01`); programs are named as a whole.
pub(crate) fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, now, &mut found);
    found
}

/// Parts of a plan that follow from others and would say nothing to a user, and how they are called together.
const PROGRAMS: [&str; 11] = [
    "gradient",
    "evaluate",
    "predict",
    "start",
    "frozen",
    "optimizer.update",
    "optimizer.norm",
    "optimizer.later",
    "train.schedule",
    "flops_forward",
    "flops_step",
];

/// Fields that hold places in the source.
const PLACES: [&str; 2] = ["spans", "loss_span"];

fn compare(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    if PROGRAMS.contains(&path) {
        if without_places(before) != without_places(now) {
            let name = if path == "train.schedule" { "the schedule" } else { "the network" };
            if !found.iter().any(|other| other == name) {
                found.push(name.to_owned());
            }
        }
        return;
    }
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for key in keys.into_iter().filter(|key| !PLACES.contains(&key.as_str())) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, before.get(key).unwrap_or(&Value::Null), now.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (index, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&format!("{path}[{index}]"), before, now, found);
            }
        }
        (Value::Array(before), Value::Array(now)) => found.push(format!("{path}: {} entries, now {}", before.len(), now.len())),
        _ if before != now => found.push(format!("{path}: {}, now {}", shown(before), shown(now))),
        _ => {}
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) | Value::Array(_) => "something else".to_owned(),
        other => other.to_string(),
    }
}

fn without_places(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(key, _)| !PLACES.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), without_places(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_places).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_their_place_in_the_plan() {
        let before = json!({"seed": 0, "train": {"learning_rate": 0.001, "schedule": {"nodes": [1]}}, "predict": {"steps": [{"spans": [1]}]}, "params": [1]});
        let now = json!({"seed": 1, "train": {"learning_rate": 0.01, "schedule": {"nodes": [2]}}, "predict": {"steps": [{"spans": [9]}]}, "params": [1, 2]});
        let found = differences(&before, &now);
        assert_eq!(found, ["params: 1 entries, now 2", "seed: 0, now 1", "train.learning_rate: 0.001, now 0.01", "the schedule"]);
        assert!(differences(&before, &before).is_empty());
        let moved = json!({"predict": {"steps": [{"spans": [1], "kind": 1}]}});
        let other = json!({"predict": {"steps": [{"spans": [1], "kind": 2}]}});
        assert_eq!(differences(&moved, &other), ["the network"]);
    }
}
