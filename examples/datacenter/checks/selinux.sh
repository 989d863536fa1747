#!/bin/sh
want={{ .Param.selinux }}
mode=disabled
if [ -r /sys/fs/selinux/enforce ]; then
	case $(cat /sys/fs/selinux/enforce) in
	1) mode=enforcing ;;
	*) mode=permissive ;;
	esac
fi
if [ "$want" != any ] && [ "$want" != "$mode" ]; then
	echo "SELinux is $mode, and $want is asked for"
	exit 2
fi
echo "SELinux is $mode"
if [ "$mode" = enforcing ]; then
	case $(stat -c %C / 2>/dev/null) in
	*:unlabeled_t:* | '' | \?)
		echo "the file system / has no labels: run \`fixfiles onboot\` and reboot"
		exit {{ if eq .Param.security "strict" }}2{{ else }}1{{ end }}
		;;
	esac
fi
