"""The soak: crawls of every kind under faults and limits, for as long as told, in a process that is watched."""
