"""The command line: reads what was asked for, and is the only part that prints."""
