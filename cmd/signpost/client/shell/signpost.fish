# Completion of signpost for fish: signpost completion fish | source
function __signpost_complete
    set -l words (commandline -opc) (commandline -ct)
    signpost complete -- $words[2..-1] 2>/dev/null
end
complete -c signpost -f -n 'test (count (__signpost_complete)) -gt 0' -a '(__signpost_complete)'
