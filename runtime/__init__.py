"""A value in, a running process out: sandboxes from Linux namespaces, standard library only.

The front doors: `runtime.spec` (values), `runtime.sandbox` (running), `runtime.rootless`
(entering the builder's own namespaces), `runtime.mounts`, `runtime.safepath`, `runtime.probe`.
"""
