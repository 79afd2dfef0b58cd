# apus.m4 - the probes that configure.ac asks in one word each.

# APUS_CFLAG_IF_ACCEPTED(FLAG..., VARIABLE)
# Appends to VARIABLE each FLAG that the C compiler takes without a complaint.
AC_DEFUN([APUS_CFLAG_IF_ACCEPTED], [
m4_foreach_w([apus_flag], [$1], [
	AS_VAR_PUSHDEF([apus_cache], [apus_cv_cflag_[]apus_flag])
	AC_CACHE_CHECK([whether $CC takes apus_flag], [apus_cache], [
		apus_saved_cflags=$CFLAGS
		CFLAGS="$CFLAGS -Werror apus_flag"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
			[AS_VAR_SET([apus_cache], [yes])], [AS_VAR_SET([apus_cache], [no])])
		CFLAGS=$apus_saved_cflags
	])
	AS_VAR_IF([apus_cache], [yes], [AS_VAR_APPEND([$2], [" apus_flag"])])
	AS_VAR_POPDEF([apus_cache])
])
])

# APUS_LDFLAG_IF_ACCEPTED(NAME, FLAG, VARIABLE)
# Sets VARIABLE to FLAG when a program links with it, else leaves it empty.
AC_DEFUN([APUS_LDFLAG_IF_ACCEPTED], [
AC_CACHE_CHECK([whether the linker takes $1], [apus_cv_ldflag_$3], [
	apus_saved_ldflags=$LDFLAGS
	LDFLAGS="$LDFLAGS $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()], [apus_cv_ldflag_$3=yes], [apus_cv_ldflag_$3=no])
	LDFLAGS=$apus_saved_ldflags
])
AS_VAR_IF([apus_cv_ldflag_$3], [yes], [$3="$2"], [$3=])
])
