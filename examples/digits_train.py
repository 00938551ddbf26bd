"""Trains `digits.tri` on scikit-learn's packaged digits and saves ternary weights.

    python examples/digits_train.py [--tritonc PATH] [-o DIR]

The script builds the training module with `tritonc build --target pytorch --mode train`, trains it, packs the
weights and writes to DIR (the folder of this script unless given):

    digits.safetensors   packed weights for `tritonc run --weights`
    digits.npy           a few dozen test images, float32 [N, 64], pixel values 0 to 16
    digits_labels.npy    their classes

It then shows that the packed module and `tritonc run` predict the same classes on the whole test set, and
exits with status 1 if they do not, or if the test accuracy is below 95 %.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "digits.tri"

SEED = 0
TEST_IMAGES = 360
SAMPLE_IMAGES = 48
EPOCHS = 40
BATCH = 64
LEARNING_RATE = 5e-3
REQUIRED_ACCURACY = 0.95


def load_data():
    """Gives (train images, train classes, test images, test classes), shuffled by a fixed seed."""
    data = load_digits()
    images = data.data.astype(np.float32)
    classes = data.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(images))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return images[train], classes[train], images[test], classes[test]


def build_module(tritonc, folder):
    """Builds `digits.tri` for PyTorch in training mode and imports the emitted file."""
    command = [tritonc, "build", str(SOURCE), "--target", "pytorch", "--mode", "train", "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    spec = importlib.util.spec_from_file_location("digits", folder / "digits.py")
    emitted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emitted)
    return emitted.Model()


def train(model, images, classes):
    """Trains with AdamW, a one-cycle learning rate and straight-through ternary weights."""
    images, classes = torch.from_numpy(images), torch.from_numpy(classes)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    steps = EPOCHS * ((len(images) + BATCH - 1) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(images)).split(BATCH):
            optimiser.zero_grad()
            loss = cross_entropy(model.logits(images[batch]), classes[batch])
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}: mean loss {total / len(images):.4f}")


def run_on_interpreter(tritonc, weights, images, folder):
    """Predicts with `tritonc run`."""
    inputs, outputs = folder / "images.npy", folder / "predictions.npz"
    np.save(inputs, images)
    command = [tritonc, "run", str(SOURCE), "--weights", str(weights), "--input", f"x={inputs}", "-o", str(outputs)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return np.load(outputs)["output"]


def main():
    parser = argparse.ArgumentParser(description="Trains examples/digits.tri.")
    parser.add_argument("--tritonc", default="tritonc", help="the compiler (default: from PATH)")
    parser.add_argument("-o", "--output", type=Path, default=HERE, help="where to write the results")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(SEED)
    train_images, train_classes, test_images, test_classes = load_data()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = build_module(arguments.tritonc, folder)
        start = time.monotonic()
        train(model, train_images, train_classes)
        print(f"trained in {time.monotonic() - start:.0f} s")

        packed = model.pack()
        packed.eval()
        with torch.no_grad():
            predicted = packed(torch.from_numpy(test_images)).numpy()
        accuracy = float((predicted == test_classes).mean())
        print(f"test accuracy with ternary weights: {accuracy:.2%}")

        weights = arguments.output / "digits.safetensors"
        save_file({name: value.contiguous() for name, value in packed.state_dict().items()}, weights)
        np.save(arguments.output / "digits.npy", test_images[:SAMPLE_IMAGES])
        np.save(arguments.output / "digits_labels.npy", test_classes[:SAMPLE_IMAGES])

        interpreted = run_on_interpreter(arguments.tritonc, weights, test_images, folder)
    differing = int((interpreted != predicted).sum())
    print(f"tritonc run differs from PyTorch on {differing} of {len(test_images)} test images")
    if differing or accuracy < REQUIRED_ACCURACY:
        sys.exit(1)


if __name__ == "__main__":
    main()
