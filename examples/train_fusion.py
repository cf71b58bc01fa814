"""Train a small audio-visual fusion network on the embedded digits, keep it, and load it again.

    python examples/train_fusion.py [model.pt]

Takes about ten seconds on two cores. The speech of this data set is synthetic.
"""

import sys

from snnfuse import data, training
from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint


def main(path: str = "model.pt") -> None:
    digits = data.load("av-digits")
    for modality in ("vision", "audio", "fusion"):
        trained = training.train(digits, training.Recipe(epochs=10), modality=modality)
        print(f"{modality}: {trained.accuracy:.2%} of {trained.samples} test samples (spike count, ties to the lowest index)")
    save_checkpoint(trained.model, path)
    again = load_checkpoint(path)
    size = sum(weights.numel() for weights in again.parameters())
    print(f"{path}: {type(again).__name__} with {size} parameters, loaded without running code from it")


if __name__ == "__main__":
    main(*sys.argv[1:])
