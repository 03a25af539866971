//! Adapters and fusions of the reference as calls of the standard library.

use mgx_tests::Outcome;
use serde_json::Value as Json;

/// Options of the reference that are sizes of what flows in: they follow from it.
const SIZES: [&str; 14] = [
    "in_features",
    "embed_dim",
    "in_channels",
    "input_channels",
    "input_size",
    "input_size_1",
    "input_size_2",
    "hidden_size",
    "hidden_size_1",
    "hidden_size_2",
    "context_input_size_1",
    "context_input_size_2",
    "class",
    "max_length",
];

/// A call of the standard library.
#[derive(Clone)]
pub struct Call {
    /// The folder of the library: `adapters` or `fusion`.
    pub folder: &'static str,
    pub name: &'static str,
    arguments: Vec<String>,
    /// Where the reference keeps its parameters.
    pub key: &'static str,
}

impl Call {
    pub fn text(&self) -> String {
        format!("{}({})", self.name, self.arguments.join(", "))
    }

    /// The import that the call needs.
    pub fn import(&self) -> String {
        let decoder =
            if self.arguments.iter().any(|argument| argument.contains("Linear(")) { "use std::layers::basic::Linear\n" } else { "" };
        format!("use std::{}::{}\n{decoder}", self.folder, self.name)
    }
}

/// The features of all pairs of tokens, as the reference's task for pairs makes them before its adapter.
pub fn outer_concat() -> Call {
    Call { folder: "adapters", name: "outer_concat", arguments: Vec::new(), key: "" }
}

/// The calls that a class of the reference with these options is, in the order in which values flow through them: an adapter, a fusion, or
/// a fusion and an adapter.
///
/// # Errors
/// What the library, or this test, does not know.
pub fn calls(class: &str, options: &Json) -> Outcome<Vec<Call>> {
    let (fusion, adapter) = match class {
        "MMFusionSeqAdapter" => ("CrossAttentionFusion", "LinearCLSAdapter"),
        "MMFusionTokenAdapter" => ("ConcatFusion", "MLPAdapter"),
        _ => return Ok(vec![call(class, options, "")?]),
    };
    let part = |key: &str| options.get(key).cloned().unwrap_or_else(|| serde_json::json!({}));
    let (fusion_options, mut adapter_options) = (part("fusion"), part("adapter"));
    adapter_options["out_features"] = options["out_features"].clone();
    let class = |options: &Json, default: &str| options["class"].as_str().unwrap_or(default).to_owned();
    Ok(vec![
        call(&class(&fusion_options, fusion), &fusion_options, "fusion_module.")?,
        call(&class(&adapter_options, adapter), &adapter_options, "adapter.")?,
    ])
}

/// The folder and the name in the library, and the adapter's outputs where the class says how many.
fn known(class: &str) -> Option<(&'static str, &'static str)> {
    Some(match class {
        "LinearAdapter" => ("adapters", "linear"),
        "LinearCLSAdapter" => ("adapters", "linear_cls"),
        "LinearMeanPoolAdapter" => ("adapters", "linear_mean_pool"),
        "LinearMaxPoolAdapter" => ("adapters", "linear_max_pool"),
        "MLPAdapter" => ("adapters", "mlp"),
        "MLPPoolAdapter" => ("adapters", "mlp_pool"),
        "MLPAdapterWithoutOutConcat" => ("adapters", "mlp_pairs"),
        "LinearTransformerAdapter" => ("adapters", "linear_transformer"),
        "ConditionalLMAdapter" => ("adapters", "conditional_lm"),
        "ResNet1DAdapter" => ("adapters", "resnet_1d"),
        "ResNet2DAdapter" => ("adapters", "resnet_2d"),
        "CrossAttentionFusion" => ("fusion", "cross_attention"),
        "ConcatFusion" => ("fusion", "concat_fusion"),
        _ => return None,
    })
}

fn call(class: &str, options: &Json, key: &'static str) -> Outcome<Call> {
    let (folder, name) = known(class).ok_or_else(|| format!("the adapter `{class}` is not known"))?;
    let mut arguments = Vec::new();
    if class == "ResNet1DAdapter" && options.get("num_outputs").is_none() {
        arguments.push("outputs = 1".to_owned());
    }
    for (option, value) in options.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        arguments.push(match option.as_str() {
            // A decoder of its own says how many logits there are.
            "out_features" if options["pretrained_decoder"].is_array() => continue,
            "out_features" | "num_outputs" => format!("outputs = {value}"),
            "hidden_sizes" => format!("hidden = {value}"),
            "bias" | "dropout_in_middle" | "channels" => format!("{option} = {value}"),
            "dropout" => format!("dropout_rate = {value}"),
            "activation_layer" => format!("activation = {}", text.rsplit('.').next().unwrap_or(text).to_lowercase()),
            "pooling" => format!("pooling = {}", text.trim_end_matches("_pooling")),
            "nhead" | "num_attention_heads" => format!("heads = {value}"),
            "dim_feedforward" => format!("ffn = {value}"),
            "num_layers" => format!("layers = {value}"),
            "pretrained_decoder" => match value.as_array().map(Vec::as_slice) {
                Some([from, to]) => format!("decoder = Linear({from}, {to})"),
                _ => continue,
            },
            "num_res_blocks" | "num_blocks" => format!("blocks = {value}"),
            "conv_channels" => format!("channels = {value}"),
            "kernel_size" => format!("width = {value}"),
            "project_size" => format!("project = {value}"),
            size if SIZES.contains(&size) => continue,
            other => return Err(format!("the option `{other}` of {class} is not known")),
        });
    }
    Ok(Call { folder, name, arguments, key })
}
