"""The Python that runs a submitted job: the one on the head's PATH, or else that of Ray's workers.

A head that was started by the full path of its ``ray``, as services do, has no environment on its PATH:
``python`` is another one there, or none. The script below travels with the job and finds the right one.
"""

from __future__ import annotations

SCRIPT_FILE = "python.sh"
NOT_FOUND = "no Python with linreg_dist and ray was found on the cluster's head; asked: "
"""Printed by the script if it finds no interpreter, before the list of those it asked."""

# Each asked Python says what it lacks. Ray tells its workers' command to its raylet, from which all processes
# of the node descend; the variable that holds the raylet's pid is kept from jobs.
SCRIPT = rf"""# Run the arguments by a Python that has linreg_dist and ray.
ask='import importlib.util as u
print(*(name for name in ("linreg_dist", "ray") if u.find_spec(name) is None))'
pid=$$
comm=
while [ "$pid" -gt 1 ] && read -r comm < "/proc/$pid/comm" && [ "$comm" != raylet ]; do
    pid=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$pid/status")
done 2>/dev/null
workers=$(tr '\000' '\n' < "/proc/$pid/cmdline" 2>/dev/null \
    | sed -n 's/^--python_worker_command=\([^ ]*\) .*/\1/p')
asked=
for name in python python3 "$workers"; do
    [ -n "$name" ] || continue
    found=$(command -v "$name" 2>/dev/null) || {{ asked="$asked, $name (there is none)"; continue; }}
    lacks=$("$found" -P -c "$ask" 2>/dev/null) || lacks=everything
    [ -z "$lacks" ] && exec "$found" "$@"
    asked="$asked, $found (without $lacks)"
done
echo "{NOT_FOUND}${{asked#, }}" >&2
exit 127
"""
