"""A fully cached rebuild, beside buildah: the whole process, both warm.

Two Dockerfiles: seven instructions on a context of two files, and what a service usually has: two
stages, twenty instructions, a context of 300 files in 30 directories.

    python benchmarks/cached_rebuild.py [--runs N] [--json]
"""

from pathlib import Path

from pairs import measure, options, show, stage

SMALL = """\
FROM bench-base
ENV GREETING=hello
WORKDIR /srv
COPY a.txt b.txt ./
RUN cat a.txt b.txt > c.txt
RUN echo "$GREETING" > d.txt
CMD ["cat", "/srv/c.txt"]
"""

SERVICE = """\
FROM bench-base AS build
ARG VERSION=1.2.3
WORKDIR /src
COPY go.mod go.sum ./
RUN cat go.mod go.sum > deps.txt
COPY pkg/ pkg/
COPY cmd/ cmd/
RUN cat pkg/*/* > all.txt
RUN echo "$VERSION" > version.txt
RUN mkdir -p /out && cp all.txt version.txt /out/

FROM bench-base
LABEL org.opencontainers.image.title="service"
ENV PORT=8080 MODE=production
RUN mkdir -p /app/data
WORKDIR /app
COPY --from=build /out/ ./
COPY config/ config/
RUN chmod 644 config/*
USER 1000:1000
EXPOSE 8080
CMD ["cat", "/app/version.txt"]
"""


def small(context: Path) -> None:
    """Make the small context."""
    (context / "Dockerfile").write_text(SMALL)
    (context / "a.txt").write_text("a\n")
    (context / "b.txt").write_text("b\n")


def service(context: Path) -> None:
    """Make the context of the service."""
    (context / "Dockerfile").write_text(SERVICE)
    (context / "go.mod").write_text("module example\n")
    (context / "go.sum").write_text("\n")
    for part in ("cmd/main", "config", *(f"pkg/p{number}" for number in range(28))):
        (context / part).mkdir(parents=True)
        for number in range(10):
            (context / part / f"file{number}.go").write_text(f"package {part} {number}\n" * 40)


def main() -> None:
    """Print the comparison."""
    args = options(__doc__ or "", runs=10)
    results = []
    with stage() as scene:
        for name, fill in (("small", small), ("service", service)):
            context = scene.directory / name
            context.mkdir()
            fill(context)
            # The first, uncounted call of both fills their caches.
            results.append(
                measure(
                    f"fully cached rebuild, {name}",
                    lambda _run, name=name: scene.pybuild("-q", "-t", name, name),
                    lambda _run, name=name: scene.buildah(
                        "bud", "--layers", "-q", "-t", name, name
                    ),
                    args.runs,
                )
            )
    show(results, peer="buildah", as_json=args.json)


if __name__ == "__main__":
    main()
