# Runs a server for as long as a process lives, however that one ends: supervise.sh WATCHED FOLDER COMMAND...
# FOLDER goes with that process, if it is not empty.
watched=$1 folder=$2
shift 2
"$@" &
server=$!
finish() {
    kill -9 "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    kill -0 "$watched" 2>/dev/null || [ -z "$folder" ] || rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
while kill -0 "$watched" 2>/dev/null && kill -0 "$server" 2>/dev/null; do
    sleep 0.3
done
