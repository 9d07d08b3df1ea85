"""
Parent of a node's ranks (nursery) and the warm interpreter that forks nurseries (zygote). docs/nursery.md describes
both.
"""

VERSION = "1"
"""Version of the socket protocol and of the way ranks are forked; part of a zygote's identity."""
