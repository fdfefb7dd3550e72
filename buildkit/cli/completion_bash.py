"""The completion of pybuild in bash.

In: what there is to complete. Out: a script that declares functions and hands one to `complete`. It
needs nothing beside bash 4.4. Source: bash(1), "Programmable Completion".
"""

from __future__ import annotations

from buildkit.cli.completion_table import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.cli.completion_words import Words

_HEAD = "# bash completion for pybuild: source <(pybuild completion bash)\n\n"
_FUNCTIONS = r"""
# Add to `found` what there is of a kind and begins with what was typed.
_pybuild_things() {
    local kind=$1 typed=$2 thing
    local -a listing=()
    case $kind in
        _) ;;
        file)
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#found[@]}" found < <(compgen -f -- "$typed")
            ;;
        dir)
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#found[@]}" found < <(compgen -d -- "$typed")
            ;;
        *)
            if _pybuild_listing "$kind"; then
                while IFS= read -r thing; do
                    [[ $thing == "$typed"* && $thing != *'<none>'* ]] && found+=("$thing")
                done < <("$program" "${root[@]}" "${listing[@]}" 2>/dev/null </dev/null)
            else
                mapfile -t -O "${#found[@]}" found < <(compgen -W "${kind//|/ }" -- "$typed")
            fi
            ;;
    esac
}

# Put into `kind` what an option takes; fails where it takes nothing.
_pybuild_value() {
    local option
    for option in $options; do
        if [[ ${option%%=*} == "$1" && $option == *=* ]]; then
            kind=${option#*=}
            return 0
        fi
    done
    return 1
}

_pybuild_option_names() {
    local option
    for option in $options; do
        option=${option%%=*}
        [[ $option == "$typed"* ]] && found+=("$option")
    done
}

# Complete the arguments of a command, the first of which is words[$1].
_pybuild_arguments() {
    local index=$1 here=0 kind='' wanted=''
    local -a kinds
    read -r -a kinds <<< "$places"
    while ((index < last)); do
        if [[ -n $rest ]] && ((here >= rest)); then
            break
        fi
        case ${words[index]} in
            --*=* | --) ;;
            -*)
                if _pybuild_value "${words[index]}"; then
                    ((index += 1))
                    ((index == last)) && wanted=$kind
                fi
                ;;
            *) ((here += 1)) ;;
        esac
        ((index += 1))
    done
    if [[ -n $wanted ]]; then
        _pybuild_things "$wanted" "$typed"
    elif [[ -n $rest ]] && ((here >= rest)); then
        _pybuild_things file "$typed"
    elif [[ $typed == --*=* ]]; then
        if _pybuild_value "${typed%%=*}"; then
            _pybuild_things "$kind" "${typed#*=}"
            found=("${found[@]/#/${typed%%=*}=}")
        fi
    elif [[ $typed == -* ]]; then
        _pybuild_option_names
    else
        if ((here >= ${#kinds[@]})) && [[ -n $repeats ]]; then
            here=$((${#kinds[@]} - 1))
        fi
        if ((here < ${#kinds[@]})); then
            for kind in ${kinds[here]//,/ }; do
                _pybuild_things "$kind" "$typed"
            done
        fi
    fi
}

_pybuild() {
    local line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]} number word bare
    local options='' places='' repeats='' rest=''
    local -a words=() root=() found=()
    # bash breaks words at : and =, which belong to names and values here.
    for ((number = 0; number <= COMP_CWORD; number++)); do
        bare=${line#"${line%%[![:space:]]*}"}
        word=${COMP_WORDS[number]}
        ((number == COMP_CWORD)) && word=$bare
        if [[ $bare == "$line" && -n $bare ]] && ((${#words[@]})); then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        line=${bare#"$word"}
    done
    local last=$((${#words[@]} - 1)) at=1
    local typed=${words[last]} names
    while ((at < last)); do
        case ${words[at]} in
            --root) root=(--root "${words[at + 1]}") && ((at += 2)) ;;
            --root=*) root=("${words[at]}") && ((at += 1)) ;;
            *) break ;;
        esac
    done

    if ((at > last)); then
        _pybuild_things dir "$typed"
    elif ((at == last)) && [[ $typed != -* ]]; then
        _pybuild_things "$_pybuild_first" "$typed"
    elif names=$(_pybuild_second "${words[at]}") && ((at + 1 == last)); then
        _pybuild_things "$names" "$typed"
    elif [[ -n $names ]]; then
        _pybuild_command "${words[at]} ${words[at + 1]}" && _pybuild_arguments $((at + 2))
    elif _pybuild_command "${words[at]}"; then
        _pybuild_arguments $((at + 1))
    else  # no command word means build
        _pybuild_command build
        options+=' --version'
        _pybuild_arguments "$at"
    fi

    # What stands before the last : or = is on the line already.
    local before='' sign
    for sign in : =; do
        if [[ $COMP_WORDBREAKS == *"$sign"* && $typed == *"$sign"* ]]; then
            word=${typed%"${typed##*"$sign"}"}
            ((${#word} > ${#before})) && before=$word
        fi
    done
    COMPREPLY=("${found[@]#"$before"}")
}

complete -F _pybuild pybuild
"""


def script(words: Sequence[Words]) -> str:
    """Return the script."""
    return _HEAD + table(words) + _FUNCTIONS
