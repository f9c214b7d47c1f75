#!/usr/bin/env bash
# What a million records cost: time and memory of their list, of an epoch, and what epochs leave behind. It fails where
# the list takes 30 s or 300 MiB, or where epochs take ever more.
# usage: scale.sh BUILD [RECORDS]      about 100 bytes of $TMPDIR for each record
set -euo pipefail
build=$(realpath "$1")
export TENON_SCALE_RECORDS=${2:-1000000} TENON_BUILD=$build TENON_SYSTEM_PLUGINS=$build/lib/tenon/plugins
nproc | sed 's/$/ cores/'
"$build/bin/test_tfrecord_scale"
