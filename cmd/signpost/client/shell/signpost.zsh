#compdef signpost
# Completion of signpost for zsh: source <(signpost completion zsh)
_signpost() {
    local line
    local -a words_only described
    for line in "${(@f)$(signpost complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -z $line ]] && continue
        words_only+=("${line%%$'\t'*}")
        described+=("${line%%$'\t'*}  ${line#*$'\t'}")
    done
    if (( ${#words_only} == 0 )); then
        _files
    elif [[ ${words_only[1]} == *= ]]; then
        compadd -S '' -l -d described -a words_only
    else
        compadd -l -d described -a words_only
    fi
}
compdef _signpost signpost
