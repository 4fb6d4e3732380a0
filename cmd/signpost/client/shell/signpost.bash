# Completion of signpost for bash: source <(signpost completion bash)
_signpost() {
    local typed=${COMP_LINE:0:COMP_POINT} words IFS=$' \t'
    read -ra words <<<"$typed"
    [[ $typed == *[[:space:]] ]] && words+=("")
    IFS=$'\n'
    COMPREPLY=($(signpost complete -- "${words[@]:1}" 2>/dev/null | cut -f1))
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _signpost signpost
