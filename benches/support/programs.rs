//! Small programs, models, and files of any length.

#![allow(dead_code, reason = "each bench uses a part")]

use std::fmt::Write;

/// One layer that most programs would have.
pub const SIMPLE_LAYER: &str = "\
layer Dense(inputs: int = 64, outputs: int = 32) {
    param weight: float32[outputs, inputs] = kaiming_uniform()
    param offset: float32[outputs] = zeros()

    fn forward(x: float32[B, inputs]) -> float32[B, outputs] {
        return relu(x @ weight.T + offset)
    }
}

let dense = Dense()
";

/// Instances of the standard library's models, of published size: the module, the name, and the instance.
pub const MODELS: &[(&str, &str, &str)] = &[
    ("models.bert", "Bert", "Bert()"),
    ("models.dcgan", "Generator", "Generator()"),
    ("models.densenet", "DenseNet", "DenseNet()"),
    ("models.dlrm", "DLRM", "DLRM()"),
    ("models.gpt2", "GPT2", "GPT2()"),
    ("models.llama", "Llama", "Llama()"),
    ("models.mixtral", "Mixtral", "Mixtral()"),
    ("models.mobilenet", "MobileNetV2", "MobileNetV2()"),
    ("models.resnet", "resnet50", "resnet50()"),
    ("models.sam", "ImageEncoder", "ImageEncoder()"),
    ("models.squeezenet", "SqueezeNet", "SqueezeNet()"),
    ("models.t5", "T5Encoder", "T5Encoder()"),
    ("models.tacotron2", "Tacotron2", "Tacotron2()"),
    ("models.unet", "UNet", "UNet()"),
    ("models.vit", "VisionTransformer", "VisionTransformer()"),
    ("models.wavernn", "WaveRNN", "WaveRNN()"),
];

/// A program that makes the model; `turn` makes its text unlike any other.
pub fn program_of_model((module, name, instance): (&str, &str, &str), turn: usize) -> String {
    format!("use {module}.{{{name}}}\n\n# {turn}\nlet model = {instance}\n")
}

/// One layer with so many operations, one after the other.
pub fn layer_of_operations(count: usize) -> String {
    let steps = ["x * weight", "relu(x)", "x + offset", "tanh(x)", "x - 0.5"];
    let mut body = String::new();
    for step in (0..count).map(|index| steps[index % steps.len()]) {
        let _ = writeln!(body, "        x = {step}");
    }
    format!(
        "layer Chain(dim: int = 64) {{\n    param weight: float32[dim]\n    param offset: float32[dim] = zeros()\n\n    fn forward(x: float32[B, dim]) -> \
         float32[B, dim] {{\n{body}        return x\n    }}\n}}\n\nlet chain = Chain()\n"
    )
}

/// So many layers, and one that runs them in turn.
pub fn program_of_layers(count: usize) -> String {
    let mut text = String::new();
    for index in 1..count {
        let _ = write!(
            text,
            "layer Dense{index}(inputs: int, outputs: int) {{\n    param weight: float32[outputs, inputs]\n    param offset: float32[outputs] = \
             zeros()\n\n    fn forward(x: float32[B, inputs]) -> float32[B, outputs] = relu(x @ weight.T + offset)\n}}\n\n"
        );
    }
    text += "layer Net(dim: int = 64) {\n";
    for index in 1..count {
        let _ = writeln!(text, "    let dense{index} = Dense{index}(dim, dim)");
    }
    text += "\n    fn forward(x: float32[B, dim]) -> float32[B, dim] {\n";
    for index in 1..count {
        let _ = writeln!(text, "        x = dense{index}(x)");
    }
    text += "        return x\n    }\n}\n\nlet net = Net()\n";
    text
}

/// A file of at least `lines` lines, as people write them: functions, layers that use them, layers made of
/// layers, a constant and a test now and then.
pub fn file_of_lines(lines: usize) -> String {
    let mut text = String::from("use nn.{LayerNorm, Linear}\n\n");
    let mut written = 2;
    let mut index = 0;
    while written < lines {
        let part = PART.replace('$', &index.to_string());
        written += part.matches('\n').count();
        text += &part;
        index += 1;
    }
    text
}

/// `$` stands for the number of the part.
const PART: &str = "\
const WIDTH$ = 4 * 16

## The mean of squares is one along the last axis.
fn scaled$(x: float32[..., N], epsilon: float = 1e-6) -> float32[..., N] {
    let squares = (x * x).mean(axis=-1, keepdim=true)
    return x * rsqrt(squares + epsilon)
}

## Attention over all positions, with heads of equal size.
layer Attention$(dim: int, heads: int) where dim % heads == 0 {
    let query = Linear(dim, dim, bias=false)
    let key = Linear(dim, dim, bias=false)
    let value = Linear(dim, dim, bias=false)
    let out = Linear(dim, dim)

    fn forward(x: float32[B, T, dim]) -> float32[B, T, dim] {
        let q = by_head(query(x))
        let k = by_head(key(x))
        let v = by_head(value(x))
        let scores = q @ k.permute([0, 1, 3, 2])
        let y = softmax(scores * 0.125, axis=-1) @ v
        return out(y.permute([0, 2, 1, 3]).reshape([B, T, dim]))
    }

    ## `[B, T, dim]` gives `[B, heads, T, dim // heads]`.
    fn by_head(x: float32[B, T, dim]) -> float32[B, heads, T, dim // heads] {
        return x.reshape([B, T, heads, dim // heads]).permute([0, 2, 1, 3])
    }
}

## Gated feed-forward layer.
layer Feed$(dim: int, hidden: int = 4 * dim) {
    param up: float32[hidden, dim] = kaiming_uniform()
    param gate: float32[hidden, dim] = kaiming_uniform()
    param down: float32[dim, hidden] = kaiming_uniform()

    fn forward(x: float32[..., dim]) -> float32[..., dim] {
        let h = silu(x @ gate.T) * (x @ up.T)    # [..., hidden]
        return h @ down.T
    }
}

layer Block$(dim: int, heads: int = 4, depth: int = 2) where dim % heads == 0 {
    let norm = LayerNorm(dim)
    let attention = Attention$(dim, heads)
    let feeds = [Feed$(dim) for _ in 0..depth]

    fn forward(x: float32[B, T, dim]) -> float32[B, T, dim] {
        x += attention(norm(x))
        for feed in feeds {
            x += feed(scaled$(x))
        }
        return x
    }
}

let block$ = Block$(WIDTH$)

";
