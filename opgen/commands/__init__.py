"""The commands, one file each; what a command needs beyond its options is imported when it runs."""
