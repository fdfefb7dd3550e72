"""Dockerfile text for hypothesis: lines that look like the real thing, and pieces that do not."""

from hypothesis import strategies as st

KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    "run", "Copy", "onbuild", "FOO",
)  # fmt: skip

PIECES = (
    "a", "b=c", "/dst/", "--from=x", "--link", "--mount=type=cache,target=/x", "--", "--x='a b'",
    "$V", "${V:-w}", "\\$V", '"a b"', "'a b'", '"', "'", "\\", "\\ ", "\\\\", '\\"', "#", "# b",
    "=", "k=", "k='v w'", 'k="v"', "[", "]", '["a"]', '["a", "b"]', "[]", "['a']", '["a",]',
    '["\\u00e9\\n"]', "[1]", '["a", null]', "CMD", "NONE", "AS", "as", "&&", "80/tcp", "é", "日本",
    "\t", "  ", "<<<x", "|", "`", "a`b", "-", "--a\\ b", "{", "}", "@sha256:0", ",", ";", "*",
)  # fmt: skip

ENDS = ("\n", "\n", "\n", "\\\n", " \\\n", "\\ \n", "\\\\\n", "\r\n", "\\\r\n", "\n\n", "\n#c\n")

HEREDOCS = (
    "RUN <<EOF\necho a\nEOF\n",
    "RUN <<-EOF\n\techo a\n\tEOF\n",
    "COPY <<a <<'b c' /x\n1\na\n2\nb c\n",
    'RUN cat 3<<"E"\n# no comment\n\\\nE\n',
    "ADD <<E'O'F a /x\n\nEOF\n",
    "RUN <<E cat; cat <<F\nE\n\nE\nF\n",
    "RUN echo \"<<EOF\" '<<x'\n",
    "COPY <<\\E /x\nE\n",
    'COPY ["<<E", "/x"]\n',
    "CMD <<E\n",
    "RUN <<E\r\na\r\nE\r\n",
    "RUN a \\\n  <<E\nb\nE\n",
    "COPY --chown=a:b <<E /x\n$V\nE\n",
)

DIRECTIVES = ("# escape=`\n", "# syntax=a/b:1\n", "#escape = \\\n", "# nothing\n", "\n", "# x=y\n")


def words() -> st.SearchStrategy[str]:
    """Return words and what may stand between them."""
    separators = st.sampled_from((" ", " ", " ", "", "  ", "\t", "\\\n", " \\\n  "))
    word = st.tuples(separators, st.sampled_from(PIECES)).map("".join)
    return st.lists(word, max_size=6).map("".join)


def instructions() -> st.SearchStrategy[str]:
    """Return instructions, most of them whole lines."""
    keyword = st.sampled_from(KEYWORDS)
    onbuild = st.sampled_from(("", "", "", "ONBUILD "))
    indent = st.sampled_from(("", "", "", "  ", "\t"))
    return st.tuples(indent, onbuild, keyword, words(), st.sampled_from(ENDS)).map("".join)


def files() -> st.SearchStrategy[str]:
    """Return whole files."""
    parts = st.one_of(
        instructions(),
        st.sampled_from(HEREDOCS),
        st.sampled_from(("\n", "# c\n", "  # c\n", "\\\n", "  \n")),
    )
    body = st.lists(parts, max_size=8).map("".join)
    return st.tuples(st.sampled_from(("", "", *DIRECTIVES)), body).map("".join)
