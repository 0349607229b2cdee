#!/bin/sh
# Install the Debian packages that building and testing need.
#
#   deps.sh FILE    packages for building; writes FILE, the make fragment that
#                   says which libraries there are (FILE is the stamp)
#   deps.sh mount   packages for the mount tests
#   deps.sh check   packages for make check and make fuzz
#
# DEPS=skip installs nothing: parts whose library is missing are left out.
set -eu

BUILD='gcc make pkg-config libfuse3-dev fuse3 libcmocka-dev libisal-dev libxxhash-dev
	libssl-dev libcjson-dev'
MOUNT='acl attr sqlite3 git'
CHECK='clang clang-format clang-tidy cppcheck libclang-rt-14-dev'

missing()
{
	for p; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' ||
			echo "$p"
	done
}

apt()
{
	if [ "$(id -u)" = 0 ]; then
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@"
	else
		sudo -n DEBIAN_FRONTEND=noninteractive \
			apt-get -o DPkg::Lock::Timeout=300 -qq "$@"
	fi
}

need()
{
	[ "${DEPS:-}" != skip ] && command -v dpkg-query >/dev/null || return 0
	lack=$(missing "$@")
	[ -n "$lack" ] || return 0
	echo "installing:" $lack
	# shellcheck disable=SC2086
	apt install -y --no-install-recommends $lack >/dev/null 2>&1 && return 0
	apt update >/dev/null &&
		apt install -y --no-install-recommends $lack >/dev/null && return 0
	echo "cannot install:" $lack >&2
	echo "install them by hand, or use DEPS=skip to build without" >&2
	return 1
}

flags()
{
	for row in FUSE:fuse3 SSL:openssl JSON:libcjson; do
		pc=${row#*:}
		if pkg-config --exists "$pc"; then
			echo "${row%%:*}_CFLAGS := $(pkg-config --cflags "$pc")"
			echo "${row%%:*}_LIBS := $(pkg-config --libs "$pc")"
		fi
	done
}

# A stamp newer than this script says that a set was complete.
once()
{
	set=$1
	shift
	stamp=build/deps.$set
	if [ -e "$stamp" ] && [ "$stamp" -nt "$0" ]; then
		return 0
	fi
	need "$@"
	mkdir -p build
	touch "$stamp"
}

# shellcheck disable=SC2086
case ${1:?usage: deps.sh FILE|mount|check} in
mount) once mount $MOUNT ;;
check) once check $CHECK ;;
*)
	need $BUILD
	mkdir -p "$(dirname "$1")"
	flags >"$1.tmp"
	mv "$1.tmp" "$1"
	;;
esac
