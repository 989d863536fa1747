#!/bin/sh
# Units have a file of their own bound over it, which takes one that is there.
if [ ! -e /etc/resolv.conf ]; then
	if [ -L /etc/resolv.conf ]; then
		echo "/etc/resolv.conf is a link to $(readlink /etc/resolv.conf), which does not exist"
	else
		echo "/etc/resolv.conf does not exist"
	fi
	exit 2
fi
echo "/etc/resolv.conf is there"
