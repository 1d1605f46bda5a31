#!/bin/sh
# Follows hand-over.sh in pre-push where `hooks.pre_push` is "notify" or "wait". Standard input belongs to the hooks
# after ours, and standard output to `git push --porcelain`; what prewarm has to say goes to standard error. Whatever
# becomes of it, the push goes on.
[ "${PREWARM_DISABLE-}" = 1 ] || [ ! -x @PROGRAM@ ] || @PROGRAM@ hook @EVENT@ </dev/null >&2 || :
