#!/bin/sh
# Follows hand-over.sh where `hooks.standalone` is true. Whoever captures what git prints waits for everybody who holds
# that pipe: prewarm must not.
[ "${PREWARM_DISABLE-}" = 1 ] || [ ! -x @PROGRAM@ ] || @PROGRAM@ hook @EVENT@ </dev/null >/dev/null 2>&1 || :
