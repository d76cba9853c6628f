"""The command line: one module for each group of commands; `smfs.cli.main` is the program."""
