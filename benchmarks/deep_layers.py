"""An image of 120 layers, one on the other, fully cached, beside buildah.

python benchmarks/deep_layers.py [--runs N] [--json]
"""

from pairs import measure, options, show, stage

LAYERS = 119
"""Beside the one of the base."""


def main() -> None:
    """Print the comparison."""
    args = options(__doc__ or "", runs=5)
    with stage() as scene:
        context = scene.directory / "deep"
        context.mkdir()
        lines = [
            f"COPY f{number} /\n" if number % 2 else f"RUN echo {number} > /made{number}\n"
            for number in range(LAYERS)
        ]
        (context / "Dockerfile").write_text("".join(["FROM bench-base\n", *lines]))
        for number in range(LAYERS):
            (context / f"f{number}").write_text(f"{number}\n")
        pairs = measure(
            "120 layers deep, fully cached",
            lambda _run: scene.pybuild("-q", "-t", "deep", "deep"),
            lambda _run: scene.buildah("bud", "--layers", "-q", "-t", "deep", "deep"),
            args.runs,
        )
    show([pairs], peer="buildah", as_json=args.json)


if __name__ == "__main__":
    main()
