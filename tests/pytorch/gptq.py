"""GPTQ against rounding on handwritten digits: `gptq.py BINARY`, in an empty folder.

Trains a float form of `examples/digits.tri` on scikit-learn's digits, quantises it to int4 both ways with 256 of the
training images, and compares what is left of the scores of images that neither has seen. Exits with an error where GPTQ does
not halve the mean squared error.
"""

import importlib.util
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

SOURCE = """\
use nn.Linear

layer Digits {
    let fc1 = Linear(64, 128)
    let fc2 = Linear(128, 64)
    let fc3 = Linear(64, 10)

    fn forward(x: float32[B, 64]) -> float32[B, 10] {
        return x / 16.0 |> fc1 |> relu |> fc2 |> relu |> fc3
    }
}
"""


def load_data():
    """Train images and classes, then test images and classes."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))
    images, classes = data.data.astype(np.float32)[order], data.target.astype(np.int64)[order]
    return images[360:], classes[360:], images[:360], classes[:360]


def train(model, images, classes):
    images, classes = torch.from_numpy(images), torch.from_numpy(classes)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    for _ in range(20):
        for batch in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            cross_entropy(model(images[batch]), classes[batch]).backward()
            optimiser.step()


def main():
    binary = sys.argv[1]

    def run(*arguments):
        subprocess.run([binary, *arguments], check=True, stdout=subprocess.DEVNULL)

    def scores(weights, *more):
        run("run", "digits.tri", "--weights", weights, "--input", "x=test.npy", *more, "-o", "scores.npz")
        return np.load("scores.npz")["output"]

    open("digits.tri", "w").write(SOURCE)
    run("build", "digits.tri", "--mode", "train", "-o", ".")
    spec = importlib.util.spec_from_file_location("digits", "digits.py")
    emitted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emitted)
    torch.manual_seed(0)
    train_images, train_classes, test_images, test_classes = load_data()
    model = emitted.Model()
    train(model, train_images, train_classes)
    save_file(model.state_dict(), "digits.safetensors")
    np.savez("data.npz", x=train_images[:256])
    np.save("test.npy", test_images)
    wanted = scores("digits.safetensors")

    def report(what, found):
        error = float(((found - wanted) ** 2).mean() / (wanted**2).mean())
        right = float((found.argmax(-1) == test_classes).mean())
        print(f"{what}: error {error:.2e} of the scores, {right:.1%} right")
        return error

    report("float32", wanted)
    for scheme in ["int4(axis=0)", "int4(group=32)"]:
        rule = f"*={scheme}"
        errors = []
        for method in ["round", "gptq"]:
            data = ["--calibrate", "data.npz", "--method", method]
            run("quantize", "digits.safetensors", "--model", "digits.tri", "--scheme", rule, *data, "-o", "q.safetensors")
            errors.append(report(f"{scheme}, {method}", scores("q.safetensors", "--quantize", rule)))
        if errors[1] > 0.5 * errors[0]:
            sys.exit(f"{scheme}: gptq leaves {errors[1]:.2e}, rounding {errors[0]:.2e}")


if __name__ == "__main__":
    main()
