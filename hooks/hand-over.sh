#!/bin/sh
# What every hook does: it leaves one line in the spool, for the daemon to find. Only words that the shell itself knows:
# nothing is started, nothing is asked, nothing is said, and nothing can fail. What cannot be written is not missed,
# because the daemon watches the repository as well.
#
# `prewarm hooks install` takes what follows without the comments, and for git's configuration on a single line, so
# that every line must read the same when it is joined to the next by a space.
[ "${PREWARM_DISABLE-}" = 1 ] ||
    case "${PWD-}${GIT_DIR-}" in
        *[[:cntrl:]]*) ;;
        /*) printf 'v1\t%s\t%s\n' "$PWD" "${GIT_DIR-}" >>@SPOOL@ ;;
    esac 2>/dev/null || :
