#!/bin/sh
first=$(printf '1.10\n1.9\n' | sort -V 2>&1 | sed -n 1p)
if [ "$first" != 1.9 ]; then
	echo "sort -V puts ${first:-nothing} first of 1.10 and 1.9"
	exit 2
fi
echo "sort -V compares versions"
