"""A fully cached rebuild of a small Dockerfile, beside buildah: the whole process, both warm.

python benchmarks/cached_rebuild.py [--runs N] [--json]
"""

from pairs import measure, options, show, stage

DOCKERFILE = """\
FROM bench-base
ENV GREETING=hello
WORKDIR /srv
COPY a.txt b.txt ./
RUN cat a.txt b.txt > c.txt
RUN echo "$GREETING" > d.txt
CMD ["cat", "/srv/c.txt"]
"""


def main() -> None:
    """Print the comparison."""
    args = options(__doc__ or "", runs=10)
    with stage() as scene:
        context = scene.directory / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / "a.txt").write_text("a\n")
        (context / "b.txt").write_text("b\n")

        def ours(_run: int) -> float:
            return scene.pybuild("-q", "-t", "bench", "context")

        def theirs(_run: int) -> float:
            return scene.buildah("bud", "--layers", "-q", "-t", "bench", "context")

        show([measure("fully cached rebuild", ours, theirs, args.runs)], peer="buildah",
             as_json=args.json)  # fmt: skip


if __name__ == "__main__":
    main()
