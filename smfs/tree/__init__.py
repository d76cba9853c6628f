"""What the mount means, without a kernel: names and secret ids, nodes, open files."""
