#!/bin/sh
# Follows hand-over.sh where `hooks.standalone` is false and `prune.automatic` is true. The daemon looks after the disk; where
# none has said that it runs, a process of ours does, once in a while.
[ "${PREWARM_DISABLE-}" = 1 ] || [ -e @DAEMON@ ] || [ ! -x @PROGRAM@ ] || @PROGRAM@ hook @EVENT@ </dev/null >/dev/null 2>&1 || :
