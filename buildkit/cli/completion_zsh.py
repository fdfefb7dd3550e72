"""The completion of pybuild in zsh.

In: what there is to complete. Out: a script, to be read or to lie in `$fpath` as `_pybuild`.
Source: zshcompsys(1), zshcompwid(1).
"""

from __future__ import annotations

from buildkit.cli.completion_table import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.cli.completion_words import Words

_HEAD = "#compdef pybuild\n# zsh completion for pybuild: source <(pybuild completion zsh)\n\n"
_FUNCTIONS = r"""
# Offer what there is of a kind.
_pybuild_things() {
    local -a listing found
    case $1 in
        _) ;;
        file) _files ;;
        dir) _files -/ ;;
        *)
            if _pybuild_listing $1; then
                found=(${(f)"$($words[1] $root $listing 2>/dev/null </dev/null)"})
                found=(${found:#*'<none>'*})
            else
                found=(${(s:|:)1})
            fi
            compadd -a found
            ;;
    esac
}

# Put into `kind` what an option takes; fails where it takes nothing.
_pybuild_value() {
    local option
    for option in ${=options}; do
        if [[ ${option%%=*} == $1 && $option == *=* ]]; then
            kind=${option#*=}
            return 0
        fi
    done
    return 1
}

# Complete the arguments of a command, the first of which is words[$1].
_pybuild_arguments() {
    local -i index=$1 here=0
    local kind='' wanted='' one
    local -a kinds names
    kinds=(${=places})
    while ((index < CURRENT)); do
        if [[ -n $rest ]] && ((here >= rest)); then
            break
        fi
        case ${words[index]} in
            --*=* | --) ;;
            -*)
                if _pybuild_value ${words[index]}; then
                    ((index += 1))
                    ((index == CURRENT)) && wanted=$kind
                fi
                ;;
            *) ((here += 1)) ;;
        esac
        ((index += 1))
    done
    if [[ -n $wanted ]]; then
        _pybuild_things $wanted
    elif [[ -n $rest ]] && ((here >= rest)); then
        _files
    elif [[ $PREFIX == --*=* ]]; then
        _pybuild_value ${PREFIX%%=*} && compset -P 1 '*=' && _pybuild_things $kind
    elif [[ $PREFIX == -* ]]; then
        names=(${=options})
        names=(${names%%=*})
        compadd -a names
    else
        if ((here >= $#kinds)) && [[ -n $repeats ]]; then
            here=$(($#kinds - 1))
        fi
        if ((here < $#kinds)); then
            for one in ${(s:,:)kinds[here + 1]}; do
                _pybuild_things $one
            done
        fi
    fi
}

_pybuild() {
    local options='' places='' repeats='' rest='' second
    local -a root
    local -i at=2
    while ((at < CURRENT)); do
        case ${words[at]} in
            --root) root=(--root ${words[at + 1]}) && ((at += 2)) ;;
            --root=*) root=(${words[at]}) && ((at += 1)) ;;
            *) break ;;
        esac
    done
    if ((at > CURRENT)); then
        _files -/
    elif ((at == CURRENT)) && [[ $PREFIX != -* ]]; then
        _pybuild_things $_pybuild_first
    elif second=$(_pybuild_second ${words[at]}) && ((at + 1 == CURRENT)); then
        _pybuild_things $second
    elif [[ -n $second ]]; then
        _pybuild_command "${words[at]} ${words[at + 1]}" && _pybuild_arguments $((at + 2))
    elif _pybuild_command ${words[at]}; then
        _pybuild_arguments $((at + 1))
    else  # no command word means build
        _pybuild_command build
        options+=' --version'
        _pybuild_arguments $at
    fi
}

if [[ $funcstack[1] == _pybuild ]]; then
    _pybuild "$@"
else
    compdef _pybuild pybuild
fi
"""


def script(words: Sequence[Words]) -> str:
    """Return the script."""
    return _HEAD + table(words) + _FUNCTIONS
