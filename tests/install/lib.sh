# shellcheck shell=bash
# Shared by the install scripts: where things are kept, how a finished build is published, Debian packages without root.
# Every script prints what it does on standard error and KEY='value' lines for the tests on standard output.
set -euo pipefail

# Outside target/, so that `cargo clean` does not cost a server build.
cache="${TOLLKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tollkeeper}"
mkdir -p "$cache"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
need() { have "$1" || die "$1 is missing: $2"; }
export_as() { printf "%s='%s'\n" "$1" "$2"; }

# Two runs at the same time must not build the same thing twice.
hold() {
    if have flock; then
        exec 9>"$cache/.lock-$1"
        flock -n 9 || { say "waiting for another installation of $1"; flock 9; }
    fi
}

# A fresh folder on the cache's file system, so that `publish` is one rename; gone with the script.
workspace() {
    find "$cache" -maxdepth 1 -name '.build-*' -mmin +1440 -exec rm -rf {} +
    work="$(mktemp -d "$cache/.build-XXXXXX")"
    trap 'rm -rf "$work"' EXIT
}

# An interrupted build leaves only a .build- folder: a name without that prefix is always complete.
publish() { rm -rf "${cache:?}/$2"; mv -T "$1" "$cache/$2"; say "kept in $cache/$2"; }

# Where a server of the usual test set-ups lies: TEST_ASSET_<NAME>, KUBEBUILDER_ASSETS, kubebuilder's folder.
find_server() {
    local name="$1" variable
    variable="TEST_ASSET_$(printf '%s' "$name" | tr 'a-z-' 'A-Z_')"
    if [ -n "${!variable:-}" ]; then
        [ -x "${!variable}" ] || die "$variable names ${!variable}, which is no program"
        printf '%s' "${!variable}"
        return
    fi
    local folder
    for folder in "${KUBEBUILDER_ASSETS:-}" /usr/local/kubebuilder/bin; do
        if [ -n "$folder" ] && [ -x "$folder/$name" ]; then printf '%s' "$folder/$name"; return; fi
    done
    return 1
}

# apt on a private folder for one suite, made from the machine's own sources: the system stays as it is, root is not needed.
apt_for() {
    local root="$cache/apt-$1" command="$2"
    shift 2
    "$command" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$root/sources" -o Dir::State="$root/state" \
        -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$root/cache" -o APT::Sandbox::User="$(id -un)" -q "$@"
}

# Fills that folder, and keeps it locked until apt_done: the entry that serves the machine's own release, with another
# suite and with sources.
apt_begin() {
    local suite="$1" otherwise="$2" root="$cache/apt-$1" codename
    have apt-get || die "the machine has no apt: $otherwise"
    if have flock; then
        exec 8>"$cache/.lock-apt-$suite"
        flock 8
    fi
    # Lists of the last day are good enough.
    [ -z "$(find "$root/ready" -mmin -1440 2>/dev/null)" ] || return 0
    rm -rf "$root"
    mkdir -p "$root"/{sources,state/lists/partial,cache/archives/partial}
    codename="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-stable}")"
    # A paragraph a repository, or a line.
    { cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } | { grep -v '^#' || true; } |
        awk -v RS= -v suite="$suite" -v own="$codename" '
            $0 ~ "(^|\n)Suites:[^\n]*[ \t]" own "([ \t\n]|$)" {
                gsub(/(^|\n)Suites:[^\n]*/, "\nSuites: " suite); gsub(/(^|\n)Types:[^\n]*/, "\nTypes: deb deb-src")
                print $0 "\n"; exit
            }' >"$root/sources/machine.sources"
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
        awk -v suite="$suite" -v own="$codename" '
            $1 == "deb" { for (i = 2; i <= NF; i++) if ($i == own) { $i = suite; print; $1 = "deb-src"; print; exit } }
        ' >"$root/sources/machine.list"
    [ -s "$root/sources/machine.sources" ] || [ -s "$root/sources/machine.list" ] ||
        die "no apt source of $codename was found in /etc/apt: $otherwise"
    say "reading the package lists of Debian $suite"
    # apt reports a list that it could not fetch as a warning only.
    if ! apt_for "$suite" apt-get update >"$root/update.log" 2>&1 || grep -q '^[EW]:' "$root/update.log"; then
        cat "$root/update.log" >&2
        die "the package lists of Debian $suite cannot be read: $otherwise"
    fi
    touch "$root/ready"
}
apt_done() { exec 8>&-; }

# Unpacks Debian packages into $work/root without installing them, which would also start their services.
debian_unpack() {
    local suite="$1" otherwise="$2"
    shift 2
    need dpkg "$otherwise"
    apt_begin "$suite" "$otherwise"
    mkdir -p "$work/debs" "$work/root"
    say "downloading $* from Debian $suite"
    (cd "$work/debs" && apt_for "$suite" apt-get download "$@" >"$work/download.log" 2>&1) || {
        cat "$work/download.log" >&2
        die "Debian $suite does not serve $*: $otherwise"
    }
    apt_done
    local deb
    for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; rm "$deb"; done
}

# A program that cargo installs, under the cache and by version; the folder with it is printed for PATH.
cargo_tool() {
    local tool="$1" version="$2" key="$1-$2"
    if have "$tool"; then say "using $(command -v "$tool")"; return; fi
    need cargo "install Rust"
    hold "$tool"
    if [ ! -d "$cache/$key" ]; then
        workspace
        say "building $tool $version, which takes some minutes"
        # A debug build takes half the time, and the tool runs for seconds.
        CARGO_TARGET_DIR="$work/target" cargo install --quiet --locked --debug --root "$work/out" "$tool@$version" >&2 ||
            die "cargo cannot install $tool $version: install it yourself"
        publish "$work/out/bin" "$key"
    fi
    export_as "TOLLKEEPER_$(printf '%s' "$tool" | tr 'a-z-' 'A-Z_')" "$cache/$key/$tool"
}
