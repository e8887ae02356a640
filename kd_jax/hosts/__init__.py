"""Several hosts as one run: each trains what no other has taken, and host 0 gathers what they make.

Lanes need nothing of each other, so a host trains what it takes on devices of its own, and no step waits for another
host. JAX finds the cluster; its distributed runtime is not started, since it aborts every process when one of them dies
or does not come. Instead each host holds a connection to host 0, whose board says what is taken and what is finished. A
connection that breaks or falls silent is a host that is gone, which ends the run with one line on every other.
"""
