# audit.sh - sourced by the audits: where things are, and how an audit proves that it
# can fail.  An audit is a function of a tree; after the real one it is fed bad ones.

top_srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${top_builddir:-$PWD}
CC=${CC:-cc}
AWK=${AWK:-awk}
NM=${NM:-nm}
OBJDUMP=${OBJDUMP:-objdump}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/apus-audit.XXXXXX") || exit 99
trap 'rm -rf "$scratch"' EXIT
trap 'exit 99' HUP INT TERM

audit_failed=0

# audit_green WHAT COMMAND...: the command must pass; what it prints is the reason if not.
audit_green() {
	audit_what=$1
	shift
	if "$@" >"$scratch/answer" 2>&1; then
		echo "ok: $audit_what"
	else
		cat "$scratch/answer"
		echo "FAILED: $audit_what"
		audit_failed=1
	fi
}

# audit_red WHAT TEXT COMMAND...: the self-test.  The command must fail, and say TEXT.
audit_red() {
	audit_what=$1
	audit_text=$2
	shift 2
	if "$@" >"$scratch/answer" 2>&1; then
		echo "FAILED: self-test: $audit_what: passed, should be red"
		audit_failed=1
	elif ! grep -qF -e "$audit_text" "$scratch/answer"; then
		cat "$scratch/answer"
		echo "FAILED: self-test: $audit_what: red without \"$audit_text\""
		audit_failed=1
	else
		echo "ok: self-test: $audit_what is red"
	fi
}

audit_skip() {
	echo "SKIP: $1"
	exit 77
}

audit_end() {
	exit $audit_failed
}

# The public headers of a tree, as they are included: apus.h, apus/base.h, ...
public_headers() {
	(cd "$1/include" && find . -name '*.h' | sed 's|^\./||' | sort)
}

# The objects of the library, static ones where they were built: as make lists them, for
# a folder keeps what was built from sources that are gone.
library_objects() {
	for object in ${APUS_OBJECTS:?run by make check}; do
		object=$top_builddir/${object%.lo}.o
		[ -e "$object" ] || object=${object%/*}/.libs/${object##*/}
		echo "$object"
	done
}
