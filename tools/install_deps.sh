#!/bin/sh
# install_deps.sh GROUP...: installs what is missing of the groups build, test, trainer, fuzz, format with apt. Asks nothing and
# does nothing when all is there. Debian 12 is what is tested; Ubuntu 24.04 differs in one name. docs/dependencies.md says why each.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
say() { "$here/say.sh" "$@"; }

build_packages="g++ cmake ninja-build pkg-config ccache mold libfmt-dev libspdlog-dev libcli11-dev libexpected-dev
  libBOOST-dev libboost-jsonBOOST-dev libssl-dev libyaml-cpp-dev libpcre2-dev libutf8proc-dev libsodium-dev libsqlite3-dev
  libcurl4-openssl-dev liblua5.4-dev"
test_packages="libgtest-dev libgmock-dev libbenchmark-dev xz-utils curl ca-certificates cmd:node=nodejs cmd:npm=npm
  cmd:prometheus-alertmanager=prometheus-alertmanager"
trainer_packages="libtorch-dev"
fuzz_packages="clang-19 libclang-rt-19-dev"
format_packages="clang-format-19"
tidy_packages="clang-tidy-19"

# Hyperscan is made for x86 only; elsewhere the word filter has an automaton of its own.
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] && build_packages="$build_packages libhyperscan-dev"

system=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}")
case "$system" in
  "debian 12"*) boost=1.81 ;;
  "ubuntu 24.04"*) boost=1.83 ;;
  *)
    say "this is $system; packages are known for Debian 12 and Ubuntu 24.04 only."
    say "Next: install the libraries listed in docs/dependencies.md, then: cmake --preset release && cmake --build build/release"
    [ "${COVE_SKIP_DEPS:-}" = 1 ] && exit 0
    say "(COVE_SKIP_DEPS=1 tells make that this has been done)"
    exit 1 ;;
esac

# The packages of all asked groups; "cmd:node=nodejs" is wanted only when the command is not there from elsewhere.
wanted=""
for group in "$@"; do
  eval "list=\${${group}_packages-}"
  [ -n "$list" ] || { say "install_deps.sh: there is no group '$group' (build test trainer fuzz format tidy)"; exit 2; }
  for entry in $list; do
    case "$entry" in
      cmd:*) command=${entry#cmd:}; package=${command#*=}; command=${command%%=*}
             command -v "$command" >/dev/null 2>&1 || wanted="$wanted $package" ;;
      libBOOST-dev) wanted="$wanted libboost$boost-dev" ;;
      libboost-jsonBOOST-dev) wanted="$wanted libboost-json$boost-dev" ;;
      *) wanted="$wanted $entry" ;;
    esac
  done
done
[ -n "$wanted" ] || exit 0

# shellcheck disable=SC2086
have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' || true)
missing=""
for package in $wanted; do
  printf '%s\n' "$have" | grep -qxF "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null 2>&1; then as_root="sudo"
else
  say "these packages are missing and only root can install them:$missing"
  say "Next, as root: apt-get install$missing"
  exit 1
fi
say "installing with apt (once):$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1; }
# shellcheck disable=SC2086
if apt update && apt install -y --no-install-recommends $missing; then
  say "installed"
else
  tail -n 15 "$log" >&2
  say "apt could not install them. Next: check the network and /etc/apt/sources.list, then run: apt-get update && apt-get install$missing"
  exit 1
fi
