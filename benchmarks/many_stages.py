"""A hundred stages, all of them needed, fully cached, beside buildah.

python benchmarks/many_stages.py [--runs N] [--json]
"""

from pairs import measure, options, show, stage

STAGES = 100


def dockerfile() -> str:
    """Return a hundred stages of two steps, and one that takes a file of each."""
    stages = [
        f"FROM bench-base AS s{number}\nCOPY f{number} /in\nRUN cat /in > /out{number}\n"
        for number in range(STAGES)
    ]
    copies = [f"COPY --from=s{number} /out{number} /\n" for number in range(STAGES)]
    return "".join([*stages, "FROM bench-base\n", *copies])


def main() -> None:
    """Print the comparison."""
    args = options(__doc__ or "", runs=5)
    with stage() as scene:
        context = scene.directory / "stages"
        context.mkdir()
        (context / "Dockerfile").write_text(dockerfile())
        for number in range(STAGES):
            (context / f"f{number}").write_text(f"{number}\n")
        pairs = measure(
            "100 stages, fully cached",
            lambda _run: scene.pybuild("-q", "-t", "stages", "stages"),
            lambda _run: scene.buildah("bud", "--layers", "-q", "-t", "stages", "stages"),
            args.runs,
        )
    show([pairs], peer="buildah", as_json=args.json)


if __name__ == "__main__":
    main()
