#!/usr/bin/env bash
# The code in docs/plugin-guide.md is cut from files that are built: each block after `<!-- from: FILE -->` stands in FILE.
set -eu
cd "$TENON_SOURCE"
awk '
    /^<!-- from: / { file = $3 }
    /^```$/ && inside {
        inside = 0
        text = ""
        while ((getline line < file) > 0)
            text = text line "\n"
        close(file)
        blocks++
        if (text == "" || index(text, code) == 0) {
            printf "docs/plugin-guide.md:%d: this block is not in %s\n", start, file
            bad = 1
        }
        file = ""
    }
    inside { code = code $0 "\n" }
    /^```c$/ {
        if (file == "") { printf "docs/plugin-guide.md:%d: where is this code from?\n", NR; bad = 1; file = "/dev/null" }
        inside = 1; code = ""; start = NR
    }
    END {
        if (blocks < 5) { print "docs/plugin-guide.md has hardly any code"; bad = 1 }
        printf "%d blocks\n", blocks
        exit bad
    }' docs/plugin-guide.md
