#!/bin/sh
# Those that come along are not looked for.
missing=
known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p) || exit 3
for library in libssl.so.3 libcrypto.so.3 libpcre2-8.so.0 libcrypt.so.1 libsystemd.so.0 libstdc++.so.6; do
	case $known in
	*"$library "*) ;;
	*) missing="$missing $library" ;;
	esac
done
if [ -n "$missing" ]; then
	echo "missing:$missing"
	exit 2
fi
echo "all libraries are there"
