"""Last stages: sources become libraries, made or found (Tree, Toolchain -> Plan -> files)."""
