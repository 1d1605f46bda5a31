#!/bin/sh
# The end of a hook file that is ours as a whole: the hook that was here before, if it is one that git would run, with
# the same arguments and standard input; its exit code is the hook's. Found by the path that git calls us by, which
# stays right when the repository moves.
if [ -x "$0.prewarm-orig" ]; then exec "$0.prewarm-orig" "$@"; fi
